/** What every page has: theme, shortcuts, signing out. */

import { remove } from "./api.js";
import { byId } from "./dom.js";
import { showKeys } from "./keys.js";
import { notify } from "./notices.js";

const THEMES = ["system", "light", "dark"];

function applyTheme(step) {
  const theme = THEMES[(Math.max(0, THEMES.indexOf(localStorage.theme)) + step) % THEMES.length];
  document.documentElement.dataset.theme = localStorage.theme = theme;
  return theme;
}

applyTheme(0);
byId("theme-button").onclick = () => notify(`Theme: ${applyTheme(1)}`);
byId("help-button").onclick = showKeys;
byId("sign-out")?.addEventListener("click", async () => {
  await remove("/session");
  location.assign("/login");
});
