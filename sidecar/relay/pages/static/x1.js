/* Pages that stay current. Everything that agents, repositories or people wrote enters as text, never as
   markup: `textContent` alone, and links only to http and https. */
"use strict";

const WEB = /https?:\/\/[^\s<>"'`)\]}]+/g;

function make(tag, name, ...inside) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...inside.filter((each) => each !== null && each !== undefined));
  return made;
}

function words(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function link(url, text) {
  let parsed = null;
  try { parsed = new URL(url); } catch { return document.createTextNode(text); }
  if (!["http:", "https:"].includes(parsed.protocol)) return document.createTextNode(text);
  const made = make("a", "", text);
  made.href = parsed.href;
  made.rel = "noopener noreferrer";
  made.target = "_blank";
  return made;
}

function linked(text) {
  const parts = document.createDocumentFragment();
  let from = 0;
  for (const found of text.matchAll(WEB)) {
    const url = found[0].replace(/[.,;:!?]+$/, "");
    parts.append(text.slice(from, found.index), link(url, url));
    from = found.index + url.length;
  }
  parts.append(text.slice(from));
  return parts;
}

/* Commits by their beginning, ids by their end: as people read them. */
function brief(value) {
  if (/^[0-9a-f]{40}$/.test(value)) return value.slice(0, 8);
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value) ? value.slice(-8) : value;
}

function word(text) { return /^[a-z_]+$/.test(text) ? text : ""; }
function chip(text, name = word(text)) { return make("span", `chip ${name}`, text); }
function clock(at) { return new Date(at).toLocaleTimeString([], { hour12: false }); }
function stamp(event) { return make("span", "at", clock(event.timestamp)); }

function pageLink(path, text, name = "") {
  const made = make("a", name, text);
  made.href = path;
  return made;
}

function sessionLink(id, text) { return pageLink(`/sessions/${encodeURIComponent(id)}`, text, "chip child"); }

function localTimes(root) {
  for (const each of root.querySelectorAll("time[datetime]")) {
    const at = new Date(each.dateTime);
    each.title = each.textContent;
    each.textContent = at.toDateString() === new Date().toDateString()
      ? at.toLocaleTimeString([], { hour12: false }) : at.toLocaleString([], { hour12: false });
  }
}

/* Sections marked data-live are taken anew from the server's own rendering of this page. */
async function refresh() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(old.id);
    if (!now || old.contains(document.activeElement) && document.activeElement.matches("summary")) continue;
    const open = [...old.querySelectorAll("details")].map((each) => each.open);
    old.replaceChildren(...now.childNodes);
    old.querySelectorAll("details").forEach((each, index) => { each.open = Boolean(open[index]); });
    localTimes(old);
  }
}

function quietly(act) { return () => act().catch(() => undefined); }

function debounced(act, milliseconds) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(quietly(act), milliseconds); };
}

class Feed {
  constructor(list) {
    this.list = list;
    this.session = list.dataset.session;
    this.last = Number(list.dataset.after);
    this.follows = list.hasAttribute("data-follow");
    this.open = null;
    this.tools = new Map();
    this.wakes = new Map();
    this.refreshed = debounced(refresh, 300);
    this.loadWakes = debounced(() => this.fillWakes(), 150);
  }

  listen(line) {
    const source = new EventSource(`/api/sessions/${this.session}/stream?after=${this.last}`);
    source.onopen = () => { line.textContent = "live"; };
    source.onmessage = (message) => this.take(JSON.parse(message.data));
    source.onerror = () => {
      line.textContent = source.readyState === EventSource.CLOSED ? "the stream has ended" : "reconnecting…";
      if (source.readyState === EventSource.CLOSED) this.refreshed();
    };
  }

  take(event) {
    if (event.sequence <= this.last) return;
    this.last = event.sequence;
    const room = document.documentElement;
    const atEnd = room.scrollHeight - room.scrollTop - room.clientHeight < 120;
    this.show(event, event.payload ?? {});
    if (this.follows && atEnd) room.scrollTop = room.scrollHeight;
  }

  show(event, told) {
    switch (event.type) {
      case "agent.text": return this.say(event, "text", words(told.text));
      case "agent.thought": return this.say(event, "thought", words(told.text));
      case "agent.tool_call": return this.tool(event, told, "input", told.input);
      case "agent.tool_result": return this.tool(event, told, "output", told.output);
      case "agent.plan": return this.plan(event, told);
      case "agent.usage": return undefined;
      case "agent.error": return this.fault(event, [told.what, told.text, told.next]);
      case "git.push_refused": return this.fault(event, ["push refused", told.ref, told.reason ?? told.text]);
      case "user.message": return this.wake(told.wake_id ?? event.id, event, told);
      case "wake.delivered": case "wake.read": case "wake.done": return this.receipt(event, told);
      case "child.spawned": case "child.ended": return this.child(event, told);
      case "agent.input_request": return this.question(event, told);
      default: return this.note(event, told);
    }
  }

  add(name, ...inside) {
    this.close();
    const made = make("li", name, ...inside);
    this.list.append(made);
    return made;
  }

  /* Chunks of one utterance become one block; its addresses become links when it is whole. */
  say(event, name, text) {
    if (this.open?.name !== name) {
      const body = make("div", name);
      this.add("", stamp(event), body);
      this.open = { name, body, text: "" };
    }
    this.open.text += text;
    this.open.body.append(text);
  }

  close() {
    if (this.open) this.open.body.replaceChildren(linked(this.open.text));
    this.open = null;
  }

  tool(event, told, part, value) {
    const id = words(told.tool_call_id) || event.id;
    let found = this.tools.get(id);
    if (!found) {
      found = { name: make("span", "name"), state: make("span", "chip") };
      found.box = make("details", "tool", make("summary", "", found.name, found.state, stamp(event)));
      this.tools.set(id, found);
      this.add("", found.box);
    }
    const title = words(told.title) || found.name.textContent || "tool";
    found.name.textContent = title;
    const state = words(told.status);
    if (state) { found.state.textContent = state; found.state.className = `chip ${word(state)}`; }
    const text = words(value);
    if (!text) return;
    found[part] ??= found.box.appendChild(make("pre", part));
    found[part].replaceChildren(linked(text));
  }

  plan(event, told) {
    const entries = Array.isArray(told.entries) ? told.entries : [];
    const list = make("ol", "plan", ...entries.map((each) =>
      make("li", word(words(each?.status)), words(each?.content ?? each))));
    this.add("note", stamp(event), list);
  }

  fault(event, parts) { this.add("fault", stamp(event), parts.map(words).filter(Boolean).join("\n")); }

  wake(id, event, told) {
    let found = this.wakes.get(id);
    if (!found) {
      found = { who: make("strong", ""), kind: chip("user", ""), state: chip("accepted"), text: make("div", "words") };
      const head = make("div", "head", found.who, found.kind, found.state, stamp(event));
      found.box = this.add("wake", head, found.text);
      this.wakes.set(id, found);
    }
    found.who.textContent = words(told.sender) || found.who.textContent || "operator";
    if (told.text) found.text.replaceChildren(linked(words(told.text)));
    return found;
  }

  receipt(event, told) {
    const receipt = event.type.slice("wake.".length);
    for (const id of Array.isArray(told.wake_ids) ? told.wake_ids : []) {
      if (!this.wakes.has(id)) { this.wake(id, event, { sender: "…" }).unknown = true; this.loadWakes(); }
      const { state } = this.wakes.get(id);
      state.textContent = receipt;
      state.className = `chip ${receipt}`;
    }
    if (receipt === "delivered") return;
    const number = Number.isInteger(told.turn) ? ` ${told.turn}` : "";
    const how = receipt === "read" ? `turn${number} begins` : `turn${number} ended · ${words(told.stop_reason) || "done"}`;
    this.add("turn", make("span", "", how), stamp(event));
    this.refreshed();
  }

  /* Wakes that no event quotes: messages of other sessions, previews, the watchdog. */
  async fillWakes() {
    const answer = await fetch(`/api/wakes?session_id=${this.session}&limit=1000`);
    if (!answer.ok) return;
    for (const wake of (await answer.json()).wakes) {
      const found = this.wakes.get(wake.id);
      if (!found?.unknown) continue;
      found.unknown = false;
      found.kind.textContent = wake.kind;
      found.who.textContent = wake.sender || wake.kind;
      found.text.replaceChildren(linked(wake.text));
      if (wake.from_session_id) found.who.after(sessionLink(wake.from_session_id, "its session"));
    }
  }

  child(event, told) {
    const id = words(told.child_session_id);
    const did = event.type === "child.spawned" ? "hired" : words(told.status) || "ended";
    this.add("note", stamp(event), chip(did), " ", sessionLink(id, `${words(told.slug)} ${id.slice(-8)}`),
      told.item ? ` for ${words(told.item)}` : null,
      told.summary ? make("div", "words", linked(words(told.summary))) : null);
    this.refreshed();
  }

  question(event, told) {
    this.add("wake", stamp(event), make("strong", "", "asks a human: "), words(told.question), " ",
      pageLink("/approvals", "answer it"));
  }

  /* Everything else: its name, its address if it has one, and what it says. */
  note(event, told) {
    const { url, preview_id: preview, text, summary, status, detail, reason, diagnosis, title, ...rest } = told;
    for (const name of ["alias_url", "operation_id", "activation_id", "flow_run_id"]) delete rest[name];
    const said = [status, title, text, summary, detail, reason, diagnosis].map(words).filter(Boolean).join("\n");
    const facts = Object.entries(rest)
      .filter(([, value]) => ["string", "number", "boolean"].includes(typeof value) && value !== "")
      .map(([name, value]) => `${name.replaceAll("_", " ")} ${brief(value)}`).join(" · ");
    const box = this.add("note", stamp(event), chip(event.type, event.type.startsWith("preview.") ? "preview" : ""), " ");
    if (url) box.append(link(words(url), words(url)), " ");
    if (preview) box.append(pageLink(`/previews/${encodeURIComponent(words(preview))}`, "logs and evidence"), " ");
    box.append(facts);
    if (said) box.append(make("div", "words", linked(said)));
    if (Array.isArray(told.results)) this.evidence(box, told.results);
    if (/^(session|preview|merge)\./.test(event.type)) this.refreshed();
  }

  evidence(box, results) {
    const list = make("ul", "plan", ...results.map((each) => make("li", "", words(each))));
    box.append(make("details", "", make("summary", "", `${results.length} check${results.length === 1 ? "" : "s"}`), list));
  }
}

localTimes(document);
const feed = document.getElementById("feed");
if (feed) new Feed(feed).listen(document.getElementById("line"));
const timed = document.querySelector("[data-live][data-every]");
if (timed) {
  const again = quietly(refresh);
  setInterval(() => { if (!document.hidden) again(); }, Number(timed.dataset.every) * 1000);
}
const field = document.querySelector(".say textarea");
if (field) field.addEventListener("keydown", (key) => {
  if (key.key === "Enter" && (key.metaKey || key.ctrlKey)) field.form.requestSubmit();
});
