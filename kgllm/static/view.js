// The half of the view that is in the browser. What is shown and where it lies is Python's to say (`shown`, `places`);
// what is selected, moved, pinned, and hidden by its class or property is decided here. Every text enters the page as
// text, but for an answer, whose HTML kgllm.pages has escaped.

const MANY = 250; // nodes, from which on nothing glides, and edges are straight

const WIDEST_PICTURE = 16_000; // pixels: browsers draw no canvas of more than 16,384

export default { render };

function render({ model, el }) {
  const root = make("div", { class: "kgllm-view", "data-lm-suppress-shortcuts": "true" });
  root.style.height = `${model.get("height")}px`;
  el.append(root);
  root.addEventListener("keydown", (event) => event.stopPropagation()); // not a shortcut of the notebook

  const bar = make("div", { class: "bar", role: "toolbar", "aria-label": "View" });
  const search = make("input", { type: "search", placeholder: "Search the graph", "aria-label": "Search the graph" });
  const find = make("form", { class: "search", role: "search" }, [search]);
  const buttons = {
    expand: button("Expand", "Show the neighbours of what is selected (double click, or E)"),
    hide: button("Hide", "Take away what is selected (Delete)"),
    pin: button("Pin", "Keep what is selected in its place (P)"),
    path: button("Path", "Show the shortest paths between the two nodes that are selected (Shift click selects more)"),
    undo: button("Undo", "Take the last step back (Ctrl Z)"),
    fit: button("Fit", "Show all of it (F)"),
    png: button("PNG", "Save the picture as PNG"),
    svg: button("SVG", "Save the picture as SVG"),
    turtle: button("Turtle", "Save the facts shown as Turtle"),
  };
  const said = make("span", { class: "status", role: "status" });
  bar.append(find, ...Object.values(buttons));

  const stage = make("div", {
    class: "stage", tabindex: "0", role: "application",
    "aria-label": "Graph. Arrow keys go from node to node, Enter shows facts, Space keeps a node selected, E expands, P pins, Delete hides, Control Z takes back.",
  });
  const canvas = make("div", { class: "canvas" });
  stage.append(canvas, said);
  const panel = make("div", { class: "panel", tabindex: "0", role: "region", "aria-label": "Facts" });
  const question = make("input", { placeholder: "Ask within what is shown", "aria-label": "Ask within what is shown" });
  const ask = make("form", {}, [question, button("Ask", "Answer from what is shown alone", "submit")]);
  const told = make("div", { class: "told" });
  panel.append(ask, told);
  const legend = make("div", { class: "legend", role: "group", "aria-label": "Classes and properties; press one to hide it" });
  root.append(bar, stage, panel, legend);

  const cy = cytoscape({
    container: canvas, elements: [], minZoom: 0.05, maxZoom: 4, boxSelectionEnabled: true, selectionType: "single",
    layout: { name: "null" },
  });
  for (const event of ["pointerdown", "mousedown", "mousemove", "touchstart", "wheel"]) {
    // What scrolls around the stage tells nobody; without this a click would land where the box was before.
    stage.addEventListener(event, () => cy.renderer().invalidateContainerClientCoordsCache(), { capture: true, passive: true });
  }
  const name = Math.random(); // other views of the widget, in other windows too, hear all replies
  let number = 0; // of what was last asked
  let current = ""; // id of the node that the arrow keys go from
  const kept = new Set(); // ids of nodes that stay selected where the arrow keys go on
  let isBegun = false; // colours and sizes are known only once the view is in the page
  const waiting = new Map();

  // ---- what is asked of Python

  function request(what, more = {}) {
    number += 1;
    if (what !== "facts") say("…");
    const sent = `${name} ${number}`;
    return new Promise((done) => {
      waiting.set(sent, done);
      model.send({ do: what, number: sent, ...more });
    });
  }

  function replied(message) {
    const done = waiting.get(message.number);
    if (!done) return;
    waiting.delete(message.number);
    if (message.error) say([message.error, message.next].filter(Boolean).join(". "), true);
    else {
      if (message.do !== "facts") say(message.note ?? "");
      done(message);
    }
  }

  function say(text, isBad = false) {
    said.textContent = text;
    said.classList.toggle("bad", isBad);
  }

  // ---- the drawing

  function begin() {
    isBegun = true;
    draw();
    cy.resize(); // the legend took its room
    fit();
    if (model.get("shown").note) say(model.get("shown").note);
    const topics = cy.nodes("[role = 'topic']");
    if (topics.length === 1 && model.get("shown").isLive) {
      choose(topics[0]);
      showFacts(topics[0]);
    } else told.replaceChildren(make("p", { class: "dim" }, ["Click a node for its facts, double click to show its neighbours."]));
  }

  function fit() {
    cy.fit(cy.elements(":visible"), 30);
    if (cy.zoom() > 1.3) {
      cy.zoom(1.3);
      cy.center(cy.elements(":visible"));
    }
  }

  function colours() {
    const style = getComputedStyle(root);
    const of = (name) => style.getPropertyValue(name).trim();
    return { ink: of("--ink"), dim: of("--dim"), paper: of("--paper"), rule: of("--rule"), link: of("--link") };
  }

  function restyle() {
    const { ink, dim, paper, rule, link } = colours();
    cy.style([
      { selector: "node", style: {
        shape: "round-rectangle", "corner-radius": 12, width: "data(width)", height: 30, label: "data(label)", color: ink,
        "font-family": "system-ui, sans-serif", "font-size": 12, "text-valign": "center", "text-wrap": "ellipsis",
        "text-max-width": 200, "border-width": 1.5, "border-color": "data(colour)", "min-zoomed-font-size": 5,
        "background-color": (node) => mixed(node.data("colour"), paper, 0.16),
      } },
      { selector: "node[kind = 'literal']", style: { "corner-radius": 2, "border-color": rule, "background-color": paper } },
      { selector: "node[kind = 'group']", style: {
        "border-style": "dashed", "background-color": paper, ghost: "yes", "ghost-offset-x": 4,
        "ghost-offset-y": 4, "ghost-opacity": 0.35,
      } },
      { selector: "node[role = 'topic'], node[role = 'answer'], node.result", style: { "border-width": 3, "border-color": ink, "font-weight": 600 } },
      { selector: "node.pinned", style: { "border-style": "double", "border-width": 4 } },
      { selector: "node:selected", style: { "underlay-color": link, "underlay-opacity": 0.45, "underlay-padding": 5, "underlay-shape": "round-rectangle" } },
      { selector: "edge", style: {
        width: 1.2, "line-color": dim, "target-arrow-color": dim, "target-arrow-shape": "triangle", "arrow-scale": 0.8,
        "curve-style": cy.nodes().length > MANY ? "straight" : "bezier", label: "data(label)", color: dim, "font-size": 10,
        "font-family": "system-ui, sans-serif", "text-rotation": "autorotate", "text-background-color": paper,
        "text-background-opacity": 0.85, "text-background-padding": 2, "text-wrap": "ellipsis", "text-max-width": 120,
        "min-zoomed-font-size": 7,
      } },
      { selector: "edge[?entailed]", style: { "line-style": "dashed" } },
      { selector: "edge.near", style: { width: 2, "line-color": ink, "target-arrow-color": ink, color: ink, "z-index": 9 } },
      { selector: ".hidden", style: { display: "none" } },
    ]);
  }

  function draw() {
    const { nodes, edges, classes, properties, canUndo, isLive } = model.get("shown");
    const wanted = new Set([...nodes, ...edges].map((one) => one.id));
    const before = cy.nodes().length;
    cy.startBatch();
    cy.elements().filter((one) => !wanted.has(one.id())).remove();
    const fresh = cy.collection();
    for (const node of nodes) {
      const old = cy.getElementById(node.id);
      if (old.nonempty()) old.data(node);
      else fresh.merge(cy.add({ data: node, position: place(node.id) }));
    }
    for (const edge of edges) if (cy.getElementById(edge.id).empty()) cy.add({ data: edge });
    cy.nodes().forEach((node) => void node.toggleClass("pinned", Boolean(model.get("places")[node.id()]?.[2])));
    cy.endBatch();
    restyle();
    move(cy.nodes().difference(fresh));
    if (fresh.nonempty() && fresh.length < cy.nodes().length) bringIntoView(fresh);
    else if (cy.nodes().length < before / 2) fit();
    cy.nodes().forEach((node) => void (node.hasClass("pinned") ? node.lock() : node.unlock()));
    filter();
    fillLegend(classes, properties);
    buttons.undo.disabled = !canUndo;
    search.disabled = question.disabled = !isLive;
    selectionChanged();
    const count = cy.nodes().length;
    stage.dataset.nodes = count;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${count} nodes, ${cy.edges().length} edges`);
  }

  function place(id) {
    const [x, y] = model.get("places")[id] ?? [0, 0];
    return { x, y };
  }

  function isCalm() {
    return cy.nodes().length > MANY || window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  function move(nodes) {
    nodes.unlock();
    nodes.forEach((node) => {
      const position = place(node.id());
      if (position.x === node.position("x") && position.y === node.position("y")) return;
      if (isCalm()) node.position(position);
      else node.animate({ position, duration: 250 });
    });
  }

  function bringIntoView(fresh) {
    const { x1, y1, x2, y2 } = cy.extent();
    const isInside = fresh.toArray().every((node) => {
      const { x, y } = place(node.id());
      const half = node.data("width") / 2 + 10;
      return x - half > x1 && x + half < x2 && y - 25 > y1 && y + 25 < y2;
    });
    if (!isInside) setTimeout(() => !cy.destroyed() && fit(), isCalm() ? 0 : 260);
  }

  function keepPlaces(nodes) {
    const places = { ...model.get("places") };
    nodes.forEach((node) => { places[node.id()] = [Math.round(node.position("x")), Math.round(node.position("y")), node.hasClass("pinned")]; });
    model.set("places", places);
    model.save_changes();
  }

  function filter() {
    const hidden = new Set(model.get("hidden"));
    cy.batch(() => {
      cy.nodes().forEach((node) => void node.toggleClass("hidden", hidden.has(node.data("cls"))));
      cy.edges().forEach((edge) => void edge.toggleClass("hidden", hidden.has(edge.data("property"))));
      cy.nodes("[kind = 'group']").forEach((node) => void node.toggleClass("hidden", node.connectedEdges(":visible").empty()));
    });
  }

  function fillLegend(classes, properties) {
    const hidden = new Set(model.get("hidden"));
    const focused = legend.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    const chip = (one, colour) => {
      const made = make("button", { class: "chip", type: "button", "aria-pressed": String(!hidden.has(one.id)), "data-id": one.id });
      if (colour) {
        const swatch = make("i", { "aria-hidden": "true" });
        swatch.style.background = colour;
        made.append(swatch);
      }
      made.append(make("bdi", {}, [one.label]), ` ${one.count.toLocaleString("en")}`);
      made.addEventListener("click", () => {
        hidden.has(one.id) ? hidden.delete(one.id) : hidden.add(one.id);
        model.set("hidden", [...hidden]);
        model.save_changes();
      });
      return made;
    };
    const wasOpen = legend.querySelector("details")?.open;
    const fold = (chips) => {
      const made = make("details", {}, [make("summary", {}, [chips.length === 1 ? "1 property" : `${chips.length} properties`]), make("div", {}, chips)]);
      made.open = Boolean(wasOpen);
      return made;
    };
    const dashed = model.get("shown").edges.some((edge) => edge.entailed);
    legend.replaceChildren(
      ...classes.map((one) => chip(one, one.colour)),
      ...(properties.length ? [fold(properties.map((one) => chip(one)))] : []),
      ...(dashed ? [make("span", { class: "dim" }, ["┄ follows by the ontology"])] : []),
    );
    if (focused) legend.querySelector(`[data-id="${focused}"]`)?.focus();
  }

  // ---- the panel

  async function showFacts(node) {
    if (node.data("kind") !== "node") {
      const isGroup = node.data("kind") === "group";
      told.replaceChildren(make("h3", {}, [make("bdi", {}, [isGroup ? node.data("label") : node.data("name")])]),
        ...(isGroup ? [make("p", {}, [make("bdi", {}, [node.data("name")])])] : []),
        make("p", { class: "dim" }, [isGroup ? "Expand shows the next of them." : "a value"]));
      return;
    }
    const { of, description, kinds, groups } = await request("facts", { node: node.id() });
    const heading = make("h3", {}, [make("bdi", {}, [of.label])]);
    const iri = of.link ? make("a", { href: of.link, rel: "noopener noreferrer", target: "_blank" }, [of.iri]) : of.iri;
    told.replaceChildren(heading, make("p", {}, [kinds.length ? `a ${kinds.join(", ")} · ` : "", iri]),
      ...(description ? [make("p", { dir: "auto" }, [description])] : []),
      ...groups.flatMap(({ outgoing, property, ends, more }) => [
        make("h4", {}, [outgoing ? "" : "← ", make("bdi", {}, [property])]),
        make("ul", {}, [...ends.map((end) => make("li", {}, [ending(end)])),
          ...(more ? [make("li", { class: "dim" }, [`and ${more.toLocaleString("en")} more`])] : [])]),
      ]));
    panel.scrollTop = 0;
  }

  function ending(end) {
    if (!end.id) return make("bdi", {}, [end.label]);
    const made = button(end.label, `Show ${end.label}`);
    made.className = "link";
    made.addEventListener("click", () => reveal(end.id));
    return made;
  }

  async function reveal(id) {
    if (cy.getElementById(id).empty()) await request("add", { node: id });
    const node = cy.getElementById(id);
    if (node.empty()) return;
    choose(node);
    showFacts(node);
  }

  find.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { hits } = await request("search", { text: search.value });
    told.replaceChildren(make("h3", {}, [hits.length ? "Found" : "Nothing found"]),
      make("ul", {}, hits.map((hit) => make("li", {}, [ending(hit), make("span", { class: "dim" }, [` ${hit.kind} ${hit.iri}`])]))));
    told.querySelector("button")?.focus();
  });

  ask.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { html, results } = await request("ask", { question: question.value });
    told.innerHTML = html;
    cy.nodes().forEach((node) => void node.toggleClass("result", results.includes(node.id())));
  });

  // ---- what a person does at the graph

  function selected() {
    return cy.nodes(":selected");
  }

  function selectionChanged() {
    const chosen = selected();
    cy.edges().removeClass("near");
    chosen.connectedEdges().addClass("near");
    const { isLive } = model.get("shown");
    buttons.expand.disabled = !isLive || chosen.empty();
    buttons.hide.disabled = buttons.pin.disabled = chosen.empty();
    buttons.path.disabled = !isLive || chosen.length !== 2;
    buttons.pin.textContent = chosen.nonempty() && chosen.every((node) => node.hasClass("pinned")) ? "Unpin" : "Pin";
  }

  function choose(node) {
    cy.elements().filter((one) => !kept.has(one.id())).unselect();
    node.select();
    current = node.id();
    const at = node.renderedPosition();
    if (at.x < 20 || at.y < 20 || at.x > cy.width() - 20 || at.y > cy.height() - 20) cy.center(node);
  }

  async function expand() {
    for (const node of selected().toArray()) await request("expand", { node: node.id() });
  }

  function here() {
    return selected().filter((node) => node.id() === current)[0] ?? selected()[0];
  }

  function keep() {
    const node = here();
    if (!node) return;
    kept.delete(current) || kept.add(current);
    say(`${node.data("label")} ${kept.has(current) ? "stays selected" : "goes with the arrows"}`);
  }

  function hide() {
    if (selected().nonempty()) request("hide", { nodes: selected().map((node) => node.id()) });
  }

  function pin() {
    const chosen = selected();
    const isOn = !chosen.every((node) => node.hasClass("pinned"));
    chosen.forEach((node) => { node.toggleClass("pinned", isOn); isOn ? node.lock() : node.unlock(); });
    keepPlaces(chosen);
    selectionChanged();
    say(`${chosen.length} ${isOn ? "pinned" : "free again"}`);
  }

  async function path() {
    const [from, to] = selected().map((node) => node.id());
    if (!to) return;
    const { way } = await request("connect", { from, to });
    cy.elements().unselect();
    cy.edges().removeClass("near");
    way.forEach((id) => cy.getElementById(id).addClass("near"));
  }

  function nearest(dx, dy) {
    const from = here() ?? cy.nodes(":visible")[0];
    if (!from) return null;
    if (selected().empty()) return from;
    const { x, y } = from.position();
    let best = null;
    let least = Infinity;
    cy.nodes(":visible").forEach((node) => {
      const [along, across] = [(node.position("x") - x) * dx + (node.position("y") - y) * dy, Math.abs((node.position("x") - x) * dy) + Math.abs((node.position("y") - y) * dx)];
      if (node !== from && node.id() !== from.id() && along > 1 && along + 2 * across < least) [best, least] = [node, along + 2 * across];
    });
    return best;
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  stage.addEventListener("keydown", (event) => {
    const done = {
      Enter: () => here() && showFacts(here()),
      " ": keep, e: expand, E: expand, p: pin, P: pin, Delete: hide, Backspace: hide,
      f: fit, F: fit,
      "+": () => cy.zoom(cy.zoom() * 1.25), "-": () => cy.zoom(cy.zoom() / 1.25),
    }[event.key];
    if (ARROWS[event.key]) {
      const node = nearest(...ARROWS[event.key]);
      if (node) {
        choose(node);
        say(node.data("name"));
      }
    } else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      if (!buttons.undo.disabled) request("undo");
    } else if (done && !event.ctrlKey && !event.metaKey) done();
    else return;
    event.preventDefault();
  });

  cy.on("select unselect", "node", selectionChanged);
  cy.on("onetap", "node", (event) => { stage.focus({ preventScroll: true }); if (!event.originalEvent?.shiftKey) showFacts(event.target); });
  cy.on("dbltap", "node", async ({ target }) => {
    if (!model.get("shown").isLive) return;
    await request("expand", { node: target.id() });
    if (target.data("kind") === "node") showFacts(target);
  });
  cy.on("dragfree", "node", (event) => keepPlaces(event.target.union(selected())));
  cy.on("mouseover", "edge", (event) => event.target.addClass("near"));
  cy.on("mouseout", "edge", selectionChanged);
  cy.on("mouseover", "node, edge", (event) => { canvas.title = event.target.data("name"); });
  cy.on("mouseout", "node, edge", () => { canvas.title = ""; });
  buttons.expand.addEventListener("click", expand);
  buttons.hide.addEventListener("click", hide);
  buttons.pin.addEventListener("click", pin);
  buttons.path.addEventListener("click", path);
  buttons.undo.addEventListener("click", () => request("undo"));
  buttons.fit.addEventListener("click", fit);

  // ---- files

  buttons.png.addEventListener("click", async () => {
    const chosen = selected();
    cy.batch(() => { chosen.unselect(); cy.edges().removeClass("near"); });
    const { w, h } = cy.elements(":visible").boundingBox();
    const scale = Math.min(2, WIDEST_PICTURE / Math.max(w, h, 1));
    const picture = await cy.png({ full: true, scale, bg: colours().paper, output: "blob-promise" });
    chosen.select();
    save(picture, "graph.png");
  });
  buttons.svg.addEventListener("click", () => save(new Blob([asSvg(cy, colours())], { type: "image/svg+xml" }), "graph.svg"));
  buttons.turtle.addEventListener("click", async () => {
    const { text } = await request("turtle");
    save(new Blob([text], { type: "text/turtle" }), "graph.ttl");
  });

  function save(blob, name) {
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    root.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    say(`${name} saved`);
  }

  // ---- changes from outside

  const filtered = () => {
    if (!isBegun) return;
    filter();
    fillLegend(model.get("shown").classes, model.get("shown").properties);
  };
  const redrawn = () => isBegun && draw();
  model.on("change:shown", redrawn);
  model.on("change:hidden", filtered);
  model.on("msg:custom", replied);
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  const recoloured = () => isBegun && restyle();
  const watched = new MutationObserver(recoloured);
  watched.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  scheme.addEventListener("change", recoloured);
  const resized = new ResizeObserver(() => {
    root.classList.toggle("narrow", root.clientWidth < 720);
    if (!canvas.clientWidth) return;
    cy.resize();
    if (!isBegun) begin();
    else fit();
  });
  resized.observe(root);
  resized.observe(canvas);
  root.cytoscape = cy; // for those who look into it from outside

  return () => {
    model.off("change:shown", redrawn);
    model.off("change:hidden", filtered);
    model.off("msg:custom", replied);
    watched.disconnect();
    resized.disconnect();
    scheme.removeEventListener("change", recoloured);
    cy.destroy();
  };
}

function make(tag, attributes = {}, children = []) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function button(label, title, type = "button") {
  return make("button", { type, title }, [make("bdi", {}, [label])]);
}

function mixed(colour, ground, part) {
  const parts = (text) => {
    const hex = text.replace("#", "");
    const full = hex.length === 3 ? [...hex].map((digit) => digit + digit).join("") : hex;
    return [0, 2, 4].map((place) => parseInt(full.slice(place, place + 2), 16));
  };
  const [over, under] = [parts(colour), parts(ground)];
  return `rgb(${over.map((value, place) => Math.round(value * part + under[place] * (1 - part))).join(",")})`;
}

// What is shown, as it lies, as a file of its own.
function asSvg(cy, { ink, dim, paper, rule }) {
  const text = (raw) => raw.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);
  const box = cy.elements(":visible").boundingBox();
  const size = `${box.x1 - 10} ${box.y1 - 10} ${box.w + 20} ${box.h + 20}`;
  const lines = cy.edges(":visible").map((edge) => {
    const [start, end] = [edge.sourceEndpoint(), edge.targetEndpoint()];
    const middle = edge.midpoint();
    const dash = edge.data("entailed") ? ' stroke-dasharray="5 4"' : "";
    const bend = edge.controlPoints?.()?.[0];
    const way = bend ? `Q${bend.x} ${bend.y} ${end.x} ${end.y}` : `L${end.x} ${end.y}`;
    return `<path d="M${start.x} ${start.y}${way}" fill="none" stroke="${dim}"${dash} marker-end="url(#a)"/>` +
      `<text x="${middle.x}" y="${middle.y - 3}" font-size="10" fill="${dim}" text-anchor="middle">${text(edge.data("label"))}</text>`;
  });
  const boxes = cy.nodes(":visible").map((node) => {
    const { x, y } = node.position();
    const [width, kind] = [node.data("width"), node.data("kind")];
    const bold = ["topic", "answer"].includes(node.data("role"));
    const frame = kind === "node" ? (bold ? ink : node.data("colour")) : rule;
    const label = node.data("label").length > 34 ? `${node.data("label").slice(0, 33)}…` : node.data("label");
    return `<rect x="${x - width / 2}" y="${y - 15}" width="${width}" height="30" rx="${kind === "literal" ? 2 : 12}" ` +
      `fill="${kind === "node" ? mixed(node.data("colour"), paper, 0.16) : paper}" stroke="${frame}" stroke-width="${bold ? 3 : 1.5}"/>` +
      `<text x="${x}" y="${y + 4}" font-size="12" fill="${ink}" text-anchor="middle"${bold ? ' font-weight="600"' : ""}>${text(label)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${size}" width="${box.w + 20}" height="${box.h + 20}" font-family="system-ui,sans-serif">` +
    `<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="${dim}"/></marker></defs>` +
    `<rect x="${box.x1 - 10}" y="${box.y1 - 10}" width="100%" height="100%" fill="${paper}"/>${lines.join("")}${boxes.join("")}</svg>`;
}
