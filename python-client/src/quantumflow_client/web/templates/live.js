// Puts what the server says has changed in its place. Without this, a page is as it was asked.
"use strict";
(() => {
  const path = document.body.dataset.live;
  if (!path || !window.EventSource) return;
  const say = (text) => {
    document.getElementById("live-state").textContent = text || "\u00a0";
  };
  const put = (id, html) => {
    const place = document.getElementById(id);
    if (!place) return;
    const isOpen = new Map();
    for (const d of place.querySelectorAll("details[id]")) isOpen.set(d.id, d.open);
    const focused = document.activeElement && place.contains(document.activeElement);
    const scrolled = [...place.querySelectorAll("[tabindex]")].map((e) => [e.scrollLeft, e.scrollTop]);
    place.innerHTML = html;
    for (const d of place.querySelectorAll("details[id]")) if (isOpen.has(d.id)) d.open = isOpen.get(d.id);
    [...place.querySelectorAll("[tabindex]")].forEach((e, i) => {
      if (scrolled[i]) [e.scrollLeft, e.scrollTop] = scrolled[i];
    });
    if (focused) {
      place.tabIndex = -1;
      place.focus({ preventScroll: true });
    }
  };
  const source = new EventSource(path);
  source.addEventListener("part", (event) => {
    const part = JSON.parse(event.data);
    put(part.id, part.html);
  });
  source.addEventListener("state", (event) => say(JSON.parse(event.data)));
  source.addEventListener("end", (event) => {
    say(JSON.parse(event.data));
    source.close();
  });
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) say("Not connected; trying again.");
    else say("No longer live: load the page again.");
  };
})();
