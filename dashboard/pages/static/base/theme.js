/** Theme: that of the system, light or dark; the choice is kept in this browser. */

const THEMES = ["system", "light", "dark"];

const chosen = () => Math.max(0, THEMES.indexOf(localStorage.getItem("theme")));

/** Apply the chosen theme; return its name. */
export function applyTheme() {
  const theme = THEMES[chosen()];
  document.documentElement.dataset.theme = theme;
  return theme;
}

/** Choose the next theme; return its name. */
export function nextTheme() {
  localStorage.setItem("theme", THEMES[(chosen() + 1) % THEMES.length]);
  return applyTheme();
}
