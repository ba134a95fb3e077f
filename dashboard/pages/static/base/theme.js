/** Theme: that of the system, light or dark; the choice is kept in this browser. */

const THEMES = ["system", "light", "dark"];

/** Return the chosen theme. */
export const theme = () => (THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "system");

/** Apply the chosen theme. */
export function applyTheme() {
  if (theme() === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme();
}

/** Choose the next theme; return its name. */
export function nextTheme() {
  localStorage.setItem("theme", THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
  applyTheme();
  return theme();
}
