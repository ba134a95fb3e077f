"""Security: who may ask for what, from where."""
