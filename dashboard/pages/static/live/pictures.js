/**
 * Newest frames on canvases: a few requests at a time, one a second for each canvas. Another thread decodes a frame,
 * and its canvas owns the bitmap: old frames leave nothing behind.
 */

const MAX_REQUESTS = 3; // of the browser's six connections to a server; the event stream has one
const PAUSE_MS = 1000;

const waiting = new Map(); // canvas → address of its newest frame
const busy = new Set(); // canvases whose last request began less than PAUSE_MS ago
const shown = new WeakMap(); // canvas → address of the frame on it
let requests = 0;

/** Load a picture onto the canvas as soon as it may; null: forget the one that waits. */
export function paint(canvas, address) {
  waiting.delete(canvas);
  if (address && address !== shown.get(canvas)) waiting.set(canvas, address);
  loadNext();
}

function loadNext() {
  for (const [canvas, address] of waiting) {
    if (requests >= MAX_REQUESTS) return;
    if (!busy.has(canvas)) load(canvas, address);
  }
}

async function load(canvas, address) {
  waiting.delete(canvas);
  busy.add(canvas);
  requests += 1;
  setTimeout(() => {
    busy.delete(canvas);
    loadNext();
  }, PAUSE_MS);
  try {
    const response = await fetch(address, { cache: "no-store" });
    const bitmap = await createImageBitmap(await response.blob());
    shown.set(canvas, address);
    Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
    canvas.getContext("bitmaprenderer").transferFromImageBitmap(bitmap);
  } catch {
    // No picture, or no server: the next frame brings another request.
  }
  requests -= 1;
  loadNext();
}
