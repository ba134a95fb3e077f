/** What every page has: the theme, the list of shortcuts. */

import { remove } from "./api.js";
import { byId } from "./dom.js";
import { showKeys } from "./keys.js";
import { notify } from "./notices.js";
import { applyTheme, nextTheme } from "./theme.js";

applyTheme();
byId("theme-button").addEventListener("click", () => notify(`Theme: ${nextTheme()}`));
byId("help-button").addEventListener("click", showKeys);
byId("sign-out")?.addEventListener("click", async () => {
  await remove("/session");
  location.assign("/login");
});
