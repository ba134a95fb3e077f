"""Documentation, and the program that draws its pictures."""
