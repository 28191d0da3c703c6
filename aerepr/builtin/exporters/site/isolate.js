// A service worker that adds the two headers without which browsers give a page no threads, for servers that do not send them.
// It serves this page only: where something else has come to lie at its address, it goes.
const PAGE = '<meta name="generator" content="aerepr" />';

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const script = request.destination === "script" || request.destination.endsWith("worker");
  const own = new URL(request.url).origin === self.location.origin;
  if (own && (script || request.mode === "navigate")) event.respondWith(isolated(request));
});

async function isolated(request) {
  const answer = await fetch(request);
  if (!answer.ok || answer.redirected) return answer;
  if (request.mode === "navigate") {
    if (!answer.headers.get("Content-Type")?.startsWith("text/html")) return answer;
    if (!(await answer.clone().text()).includes(PAGE)) {
      await self.registration.unregister();
      return answer;
    }
  }
  const headers = new Headers(answer.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}
