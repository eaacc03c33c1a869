// The service worker: after the first visit the page needs no network. The server fills in version and files.

const CACHE = "cardpose-{{version}}";
const FILES = ["{{files}}"];
// A web host may not send these: the policy binds the worker too, which a page's own does not; with the others the
// page may use threads.
const HEADERS = {
  "content-security-policy": "{{policy}}",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
};

function guarded(answer) {
  if (!answer.body || answer.status !== 200) return answer;
  const headers = new Headers(answer.headers);
  headers.delete("content-encoding"); // the body is decoded
  headers.delete("content-length");
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(answer.body, { status: 200, headers });
}

async function find(request) {
  const cache = await caches.open(CACHE);
  const found = await cache.match(request, { ignoreSearch: true, ignoreVary: true });
  if (found) return guarded(found);
  const answer = await fetch(request);
  if (answer.ok) await cache.put(request, answer.clone());
  return guarded(answer);
}

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (names) => names.filter((name) => name.startsWith("cardpose-") && name !== CACHE);
  event.waitUntil(caches.keys().then((names) => Promise.all(old(names).map((name) => caches.delete(name))))
    .then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const same = new URL(event.request.url).origin === self.location.origin;
  if (same && event.request.method === "GET") event.respondWith(find(event.request));
});
