/** Newest frames on canvases: few requests at a time, one a second for a canvas, which owns its bitmap: no leaks. */

const PAUSE_MS = 1000;
const TIMEOUT_MS = 10000;
const waiting = new Map(); // canvas → address of its newest frame
const resting = new Set(); // canvases whose request began less than PAUSE_MS ago
let free = 3; // of the browser's six connections to a server

/** Load a picture onto the canvas as soon as it may; null: forget the one that waits. */
export function paint(canvas, address) {
  waiting.delete(canvas);
  if (address && address !== canvas.dataset.address) waiting.set(canvas, address);
  loadNext();
}

function loadNext() {
  for (const [canvas, address] of waiting) if (free && !resting.has(canvas)) load(canvas, address);
}

async function load(canvas, address) {
  waiting.delete(canvas);
  resting.add(canvas);
  free -= 1;
  setTimeout(() => resting.delete(canvas) && loadNext(), PAUSE_MS);
  try {
    const response = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    const bitmap = await createImageBitmap(await response.blob()); // another thread decodes it
    canvas.getContext("bitmaprenderer").transferFromImageBitmap(bitmap);
    canvas.dataset.address = address;
  } catch {
    // No picture, or no server: the next frame brings another request.
  }
  free += 1;
  loadNext();
}
