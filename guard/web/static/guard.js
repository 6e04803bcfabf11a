// Keeps the page as it is on the server: after a change it asks for the same page again and takes
// over what differs, so that nothing is written twice and open details, focus and selection stay.
"use strict";

(() => {
  const root = document.body.dataset.root;
  const main = document.getElementById("main");
  const connection = document.getElementById("connection");
  const heard = document.getElementById("changes");
  const LEAST_PAUSE = 1000; // milliseconds between two refreshes, more where the server is slow
  const USERS_EVERY = 2000;
  const COME_AGAIN = 5000;
  const said = new Map(); // what was last said of each rollout

  function connected(state, words) {
    connection.dataset.state = state;
    connection.querySelector(".said").textContent = words;
  }

  // Taking over what differs.

  function key(node) {
    return node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null;
  }

  function morph(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
      old.replaceWith(document.importNode(fresh, true));
    } else if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    } else if (!old.isEqualNode(fresh)) {
      attributes(old, fresh);
      children(old, fresh);
    }
  }

  function attributes(old, fresh) {
    const kept = old.nodeName === "DETAILS" ? "open" : null;
    for (const { name } of [...old.attributes]) {
      if (name !== kept && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  }

  function children(old, fresh) {
    const keyed = new Map();
    for (const child of old.childNodes) if (key(child)) keyed.set(key(child), child);
    let place = old.firstChild;
    for (const wanted of fresh.childNodes) {
      const name = key(wanted);
      while (place && !name && key(place)) place = place.nextSibling;
      const match = name ? keyed.get(name) : place;
      if (!match) {
        old.insertBefore(document.importNode(wanted, true), place);
        continue;
      }
      if (name) keyed.delete(name);
      if (match === place) place = place.nextSibling;
      else old.insertBefore(match, place);
      morph(match, wanted);
    }
    for (const gone of keyed.values()) if (gone !== place) gone.remove();
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
  }

  // Refreshing: one at a time, never more often than the server bears.

  let due = false;
  let busy = false;
  let earliest = 0;

  function refresh() {
    due = true;
    if (busy || document.hidden) return;
    busy = true;
    setTimeout(fetched, Math.max(earliest - performance.now(), 0));
  }

  async function fetched() {
    due = false;
    const began = performance.now();
    try {
      const answer = await fetch(location.pathname, { cache: "no-store" });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const focused = document.activeElement;
      document.title = fresh.title;
      morph(main, fresh.getElementById("main"));
      if (focused.isConnected && focused !== document.activeElement) {
        focused.focus({ preventScroll: true }); // it was moved
      }
    } catch {
      due = true; // the stream says so when the server is back
    }
    const took = performance.now() - began;
    earliest = performance.now() + Math.max(LEAST_PAUSE, 5 * took);
    busy = false;
    if (due && connection.dataset.state === "live") refresh();
  }

  // Changes.

  function announce(record) {
    const now = [record.phase, record.hold, record.verdict].join();
    const before = said.get(record.rollout);
    said.set(record.rollout, now);
    const shown = [...main.querySelectorAll("[data-key]")].some((one) => key(one) === record.rollout);
    if (before === now || (before === undefined && shown)) return;
    const phase = record.phase.replaceAll("_", " ");
    heard.textContent = `${record.service}: ${phase}, verdict ${record.verdict}. ${record.text}`;
  }

  function listen() {
    const stream = new EventSource(`${root}api/v1/events`);
    stream.addEventListener("open", () => {
      connected("live", "live");
      refresh(); // what changed while nobody listened
    });
    stream.addEventListener("rollout", (event) => {
      announce(JSON.parse(event.data));
      refresh();
    });
    stream.addEventListener("error", () => {
      connected("lost", "connection lost, trying again; as of");
      if (stream.readyState === EventSource.CLOSED) setTimeout(listen, COME_AGAIN);
    });
  }

  // What users saw.

  function cell(name, text, kind) {
    const made = document.createElement(name);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  async function users() {
    const body = document.querySelector("#users tbody");
    if (!body) return;
    if (!document.hidden) {
      try {
        const answer = await fetch(`${root}api/v1/users`, { cache: "no-store" });
        const rows = (await answer.json()).users.map((user) => {
          const row = document.createElement("tr");
          const head = cell("th", user.case);
          head.scope = "row";
          row.append(head, cell("td", user.sent, "number"), cell("td", user.failed, "number"), cell("td", user.note));
          return row;
        });
        body.replaceChildren(...rows);
      } catch {
        // The next one comes soon.
      }
    }
    setTimeout(users, USERS_EVERY);
  }

  // Times: in the words of guard/core/quantities.py.

  function ago(passed) {
    if (passed < 1) return "now";
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      if (passed >= size) return `${Math.floor(passed / size)} ${unit} ago`;
    }
    return `${Math.floor(passed)} s ago`;
  }

  const clock = document.getElementById("now");
  const behind = Date.parse(clock.dateTime) - Date.now(); // the server's clock counts

  function tick() {
    const now = Date.now() + behind;
    for (const one of document.querySelectorAll(".ago[data-at]")) {
      const words = ago(now / 1000 - Number(one.dataset.at));
      if (one.textContent !== words) one.textContent = words;
    }
    if (connection.dataset.state === "live") {
      clock.textContent = `${new Date(now).toISOString().slice(11, 19)} UTC`;
    }
  }

  document.addEventListener("visibilitychange", () => { if (due) refresh(); });
  setInterval(tick, 1000);
  listen();
  users();
})();
