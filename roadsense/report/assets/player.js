// The episode player. Reads what roadsense/report/episode/payload.py writes, draws the road on a canvas and the strips as SVG.
// Whole page scripts call: RoadSense.unpack(base64) -> Promise(content), new RoadSense.Player(element).show(content).
"use strict";

const RoadSense = (() => {
  const FORMAT = 1;
  const DELIVERED = 0, LOST = 1;
  const SVG = "http://www.w3.org/2000/svg";
  const STRIP_LEFT = 40, STRIP_RIGHT = 8;

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return decode(JSON.parse(await new Response(stream).text()));
  }

  function summed(differences, scale) {
    let value = 0;
    return differences.map((difference) => (difference === null ? null : (value += difference) / scale));
  }

  function decode(content) {
    if (content.format !== FORMAT) throw new Error(`episode format ${content.format}, this player reads ${FORMAT}`);
    const columns = (rows, scale) => rows.map((row) => summed(row, scale));
    const episode = { ...content };
    episode.x = columns(content.x, 100);
    episode.y = columns(content.y, 100);
    episode.heading = columns(content.heading, 1000);
    episode.speed = columns(content.speed, 100);
    for (const name of ["gap", "leader_speed", "accel"]) episode[name] = summed(content[name], 100);
    episode.action = summed(content.action, 1000);
    episode.view_heading = smoothed(episode.heading[content.ego], 8);
    return episode;
  }

  // The heading of the view: the ego's, unwrapped and averaged, so that the picture turns calmly.
  function smoothed(headings, reach) {
    const whole = [];
    let last = headings.find((value) => value !== null) ?? 0;
    for (const value of headings) {
      let next = value === null ? last : value;
      while (next - last > Math.PI) next -= 2 * Math.PI;
      while (next - last < -Math.PI) next += 2 * Math.PI;
      whole.push((last = next));
    }
    return whole.map((_, place) => {
      const part = whole.slice(Math.max(0, place - reach), place + reach + 1);
      return part.reduce((sum, value) => sum + value, 0) / part.length;
    });
  }

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function svg(name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const shortened = (name) => (name.length > 7 ? `${name.slice(0, 6)}…` : name);
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const seconds = (time) => `${time.toFixed(1)} s`;

  class Player {
    constructor(root) {
      this.root = root;
      this.place = 0;
      this.rate = 1;
      this.playing = false;
      this.zoom = 1;
      this.links = "ego";
      this._build();
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this._restyle());
      new ResizeObserver(() => this._resize()).observe(this.stage);
      addEventListener("beforeprint", () => this._restyle());
    }

    show(episode, place) {
      this.pause();
      this.episode = episode;
      this.zoom = 1;
      this.scrubber.max = episode.frames - 1;
      this.place = place ?? this._firstPlace();
      this.title.textContent = episode.title;
      this.subtitle.textContent = `${episode.scenario} · policy ${episode.policy} · ${episode.outcome_text}`;
      this._listEvents();
      this._resize();
    }

    // Where it becomes interesting: two seconds before the hazard, else before the first braking, else the start.
    _firstPlace() {
      const { hazard_window: hazard, action } = this.episode;
      const braking = action.findIndex((value) => value > 0.0625);
      const moment = hazard ? hazard[0] : braking;
      return Math.max(0, moment - 20);
    }

    // ---- building -------------------------------------------------------------------------------------------------------------

    _build() {
      this.title = element("h3", { class: "player-title" });
      this.subtitle = element("p", { class: "player-subtitle" });
      this.stage = element("div", { class: "player-stage" });
      this.canvas = element("canvas", { class: "player-canvas", role: "img", "aria-label": "The cars on the road, seen from above" });
      this.readout = element("div", { class: "player-readout" });
      this.stage.append(this.canvas);
      this.strips = svg("svg", { class: "player-strips", role: "img", "aria-label": "Gap, speed, braking and age of messages over time" });
      this.eventList = element("ol", { class: "player-events" });
      this.root.classList.add("player");
      this.root.tabIndex = 0;
      this.root.setAttribute("role", "group");
      this.root.setAttribute("aria-label", "Episode player. Space plays, arrows step, digits 1 to 5 set the speed.");
      this.root.replaceChildren(
        element("header", {}, this.title, this.subtitle), this.stage, this.readout, this._controls(), this.strips, this._legend(), this.eventList,
      );
      this.root.addEventListener("keydown", (event) => this._key(event));
      // On a page of its own the player listens wherever the focus is.
      if (this.root.dataset.keys === "page") document.addEventListener("keydown", (event) => { if (event.target === document.body) this._key(event); });
      this._scrubStrips();
    }

    _button(label, title, action, shown = label) {
      const button = element("button", { type: "button", "aria-label": label, title }, shown);
      button.addEventListener("click", action);
      return button;
    }

    _controls() {
      this.playButton = this._button("play", "play or pause (space)", () => this.toggle(), "▶");
      this.playButton.classList.add("player-play");
      this.scrubber = element("input", { type: "range", min: 0, max: 1, step: 1, value: 0, "aria-label": "time" });
      this.scrubber.addEventListener("input", () => { this.pause(); this.seek(Number(this.scrubber.value)); });
      this.clock = element("output", { class: "player-clock" });
      this.rates = element("div", { class: "player-rates", role: "group", "aria-label": "speed" });
      [0.1, 0.25, 0.5, 1, 2].forEach((rate, place) => {
        const button = this._button(`speed ${rate}`, `${rate} times real time (${place + 1})`, () => this.setRate(rate), `${rate}×`);
        button.dataset.rate = rate;
        this.rates.append(button);
      });
      this.linkChoice = element("select", { "aria-label": "radio links that are drawn", title: "radio links that are drawn (l)" },
        element("option", { value: "ego" }, "links to the ego"), element("option", { value: "all" }, "all links"),
        element("option", { value: "none" }, "no links"));
      this.linkChoice.addEventListener("change", () => { this.links = this.linkChoice.value; this.draw(); });
      const row = element("div", { class: "player-controls" },
        this._button("back", "back 0.1 s (←)", () => { this.pause(); this.seek(this.place - 1); }, "‹"), this.playButton,
        this._button("forward", "forward 0.1 s (→)", () => { this.pause(); this.seek(this.place + 1); }, "›"), this.scrubber, this.clock);
      const second = element("div", { class: "player-controls player-controls-more" }, this.rates, this.linkChoice,
        this._button("zoom out", "show more road (−)", () => this.setZoom(this.zoom / 1.25), "−"),
        this._button("zoom in", "show less road (+)", () => this.setZoom(this.zoom * 1.25), "+"));
      return element("div", {}, row, second);
    }

    _legend() {
      const item = (kind, text) => element("li", {}, element("i", { class: `key key-${kind}` }), text);
      return element("ul", { class: "player-legend" }, item("ego", "ego"), item("hazard", "hazard car"), item("late", "late car of a pile-up"),
        item("peer", "car with a radio"), item("other", "car without"), item("ghost", "where the ego believes a car to be"),
        item("delivered", "message arrived"), item("lost", "message lost"));
    }

    _listEvents() {
      this.eventList.replaceChildren(...this.episode.events.map((event) => {
        const button = element("button", { type: "button" }, element("span", { class: "event-time" }, seconds(event.t)),
          element("span", { class: "event-text" }, event.text));
        button.addEventListener("click", () => { this.pause(); this.seek(Math.round(event.t / this.episode.dt_s)); });
        return element("li", { class: `event event-${event.kind}` }, button);
      }));
    }

    // ---- playing --------------------------------------------------------------------------------------------------------------

    toggle() { if (this.playing) this.pause(); else this.play(); }

    play() {
      if (this.place >= this.episode.frames - 1) this.place = 0;
      this.playing = true;
      this._showPlaying();
      this.lastTime = null;
      const tick = (now) => {
        if (!this.playing) return;
        if (this.lastTime !== null) {
          this.place = Math.min(this.episode.frames - 1, this.place + ((now - this.lastTime) / 1000 / this.episode.dt_s) * this.rate);
          if (this.place >= this.episode.frames - 1) this.pause();
        }
        this.lastTime = now;
        this.draw();
        if (this.playing) requestAnimationFrame(tick);
      };
      requestAnimationFrame(tick);
    }

    pause() {
      this.playing = false;
      this._showPlaying();
    }

    _showPlaying() {
      this.playButton.textContent = this.playing ? "❚❚" : "▶";
      this.playButton.setAttribute("aria-label", this.playing ? "pause" : "play");
    }

    seek(place) {
      this.place = clamp(Math.round(place), 0, this.episode.frames - 1);
      this.draw();
    }

    setRate(rate) { this.rate = rate; this.draw(); }

    setZoom(zoom) { this.zoom = clamp(zoom, 0.25, 6); this.draw(); }

    _key(event) {
      if (event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey) return;
      const step = event.shiftKey ? 10 : 1;
      const rates = [0.1, 0.25, 0.5, 1, 2];
      const actions = {
        " ": () => this.toggle(),
        ArrowLeft: () => { this.pause(); this.seek(this.place - step); },
        ArrowRight: () => { this.pause(); this.seek(this.place + step); },
        Home: () => this.seek(0), End: () => this.seek(this.episode.frames - 1),
        "+": () => this.setZoom(this.zoom * 1.25), "=": () => this.setZoom(this.zoom * 1.25), "-": () => this.setZoom(this.zoom / 1.25),
        l: () => { this.links = { ego: "all", all: "none", none: "ego" }[this.links]; this.linkChoice.value = this.links; this.draw(); },
      };
      const action = actions[event.key] ?? (event.key >= "1" && event.key <= "5" ? () => this.setRate(rates[event.key - 1]) : null);
      // The space bar on a focused button presses that button already.
      if (!action || (event.key === " " && event.target.tagName === "BUTTON")) return;
      event.preventDefault();
      action();
    }

    // ---- drawing --------------------------------------------------------------------------------------------------------------

    _restyle() { if (this.episode) { this._drawStrips(); this.draw(); } }

    _resize() {
      if (!this.episode) return;
      const width = this.stage.clientWidth;
      if (!width) return;
      const height = Math.round(clamp(width * 0.34, 190, 340));
      const ratio = Math.min(3, devicePixelRatio || 1);
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.height = `${height}px`;
      this.size = { width, height, ratio };
      this._drawStrips();
      this.draw();
    }

    _colours() {
      const style = getComputedStyle(this.root);
      const names = ["card", "ink", "muted", "line", "road", "road-edge", "ego", "hazard", "late", "peer", "other", "heard", "lost"];
      return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    }

    // A column between two frames; null where the car is not there.
    _at(column) {
      const before = Math.floor(this.place), share = this.place - before;
      const first = column[before], second = column[before + 1];
      return first === null || first === undefined ? null : share === 0 || second === null || second === undefined
        ? first : first + share * (second - first);
    }

    _turned(column) {
      const before = Math.floor(this.place), share = this.place - before;
      const first = column[before], second = column[before + 1];
      if (first === null) return null;
      if (share === 0 || second === null || second === undefined) return first;
      const turn = Math.atan2(Math.sin(second - first), Math.cos(second - first));
      return first + share * turn;
    }

    draw() {
      if (!this.episode || !this.size) return;
      const { episode, size } = this;
      const colours = this._colours();
      const context = this.canvas.getContext("2d");
      // On a phone the far end of a long convoy is left out rather than drawing cars as specks.
      const scale = Math.max(1.8, size.width / (episode.span_m / 0.62)) * this.zoom;
      const centre = this._egoPlace();
      context.setTransform(size.ratio, 0, 0, size.ratio, 0, 0);
      context.fillStyle = colours.card;
      context.fillRect(0, 0, size.width, size.height);
      context.save();
      context.translate(size.width * 0.24, size.height * 0.5);
      context.scale(scale, -scale);
      context.rotate(-this._at(episode.view_heading));
      context.translate(-centre.x, -centre.y);
      this._drawRoad(context, colours, scale);
      this._drawLinks(context, colours, scale);
      this._drawCars(context, colours, scale);
      this._drawGhosts(context, colours, scale);
      this._transform = context.getTransform();
      context.restore();
      this._drawLabels(context, colours, scale);
      this._drawScale(context, colours, scale);
      this._sayState();
      this.scrubber.value = Math.floor(this.place);
      this.clock.textContent = seconds(this.place * episode.dt_s);
      for (const button of this.rates.children) button.setAttribute("aria-pressed", String(Number(button.dataset.rate) === this.rate));
      this._moveCursor();
      this.root.dataset.place = Math.floor(this.place);
      this.root.dataset.car = `${centre.x.toFixed(2)},${centre.y.toFixed(2)}`;
    }

    // The last place of the ego that is known: it may have left the road in the last frame.
    _egoPlace() {
      const { x, y, ego } = this.episode;
      let here = this.place;
      while (here > 0 && x[ego][Math.floor(here)] === null) here = Math.floor(here) - 1;
      const saved = this.place;
      this.place = here;
      const place = { x: this._at(x[ego]), y: this._at(y[ego]) };
      this.place = saved;
      return place;
    }

    _drawRoad(context, colours, scale) {
      const { lanes, junctions } = this.episode.road;
      const path = (flat) => {
        const drawn = new Path2D();
        for (let place = 0; place < flat.length; place += 2) drawn[place ? "lineTo" : "moveTo"](flat[place] / 100, flat[place + 1] / 100);
        return drawn;
      };
      this.episode.paths ??= { lanes: lanes.map(([width, flat]) => [width / 100, path(flat)]), junctions: junctions.map(path) };
      context.lineJoin = "round";
      context.lineCap = "butt";
      context.strokeStyle = colours["road-edge"];
      for (const [width, drawn] of this.episode.paths.lanes) { context.lineWidth = width + Math.max(0.5, 1.5 / scale); context.stroke(drawn); }
      context.strokeStyle = context.fillStyle = colours.road;
      for (const drawn of this.episode.paths.junctions) context.fill(drawn);
      for (const [width, drawn] of this.episode.paths.lanes) { context.lineWidth = width - Math.max(0.12, 0.8 / scale); context.stroke(drawn); }
    }

    // The middle of a car: SUMO gives the front bumper.
    _middle(car) {
      const { x, y, heading, cars } = this.episode;
      const front = [this._at(x[car]), this._at(y[car])];
      if (front[0] === null) return null;
      const angle = this._turned(heading[car]), half = cars[car].length / 200;
      return [front[0] - half * Math.cos(angle), front[1] - half * Math.sin(angle)];
    }

    _drawLinks(context, colours, scale) {
      if (this.links === "none") return;
      const { air, ego } = this.episode;
      const frame = Math.floor(this.place);
      const roster = air.rosters.filter(([start]) => start <= frame).at(-1)?.[1] ?? [];
      const fates = air.fates[frame] ?? "";
      const receivers = roster.length ? fates.length / roster.length : 0;
      const lost = [];
      context.lineWidth = 1.2 / scale;
      for (let sender = 0; sender < roster.length; sender += 1) {
        for (let receiver = 0; receiver < receivers; receiver += 1) {
          if (sender === receiver || (this.links === "ego" && roster[receiver] !== ego)) continue;
          const fate = Number(fates[sender * receivers + receiver]);
          const from = this._middle(roster[sender]), to = this._middle(roster[receiver]);
          if (!from || !to || (fate !== DELIVERED && fate !== LOST)) continue;
          if (fate === LOST) { lost.push([from, to]); continue; }
          context.globalAlpha = roster[receiver] === ego ? 0.75 : 0.18;
          context.strokeStyle = colours.heard;
          context.setLineDash([]);
          this._arc(context, from, to);
        }
      }
      context.globalAlpha = 0.8;
      context.strokeStyle = colours.lost;
      context.setLineDash([3 / scale, 4 / scale]);
      for (const [from, to] of lost) this._arc(context, from, to);
      context.setLineDash([]);
      context.globalAlpha = 1;
    }

    // Links bend to the right of the ego's way, the longer the further: on a straight road they would lie on top of each other.
    _arc(context, from, to) {
      const heading = this._at(this.episode.view_heading), bend = 0.2 * Math.hypot(to[0] - from[0], to[1] - from[1]);
      const middle = [(from[0] + to[0]) / 2 + bend * Math.sin(heading), (from[1] + to[1]) / 2 - bend * Math.cos(heading)];
      context.beginPath(); context.moveTo(...from); context.quadraticCurveTo(...middle, ...to); context.stroke();
    }

    _drawCars(context, colours, scale) {
      const { episode } = this;
      const frame = Math.floor(this.place);
      episode.cars.forEach((car, index) => {
        const x = this._at(episode.x[index]), y = this._at(episode.y[index]);
        if (x === null) return;
        const length = car.length / 100, width = car.width / 100;
        context.save();
        context.translate(x, y);
        context.rotate(this._turned(episode.heading[index]));
        const isPlain = car.role === "other";
        context.fillStyle = isPlain ? colours.card : colours[car.role === "equipped" ? "peer" : car.role];
        context.strokeStyle = isPlain ? colours.other : colours.card;
        context.lineWidth = 1.2 / scale;
        context.beginPath();
        context.roundRect(-length, -width / 2, length, width, 0.45);
        context.fill();
        context.stroke();
        context.fillStyle = isPlain ? colours.other : colours.card;
        context.globalAlpha = 0.55;
        context.fillRect(-length * 0.42, -width * 0.36, length * 0.16, width * 0.72);
        context.globalAlpha = 1;
        const before = episode.speed[index][Math.max(0, frame - 1)], now = episode.speed[index][frame];
        if (before !== null && now !== null && (before - now) / episode.dt_s > 1) {
          context.fillStyle = colours.lost;
          for (const side of [-1, 1]) context.fillRect(-length - 0.1, side * width * 0.36 - 0.22, Math.max(0.5, 2.5 / scale), 0.44);
        }
        if (index === episode.ego && (episode.action[frame] ?? 0) > 0.0625) {
          // The brake command: a bar that grows out of the rear, full at four car lengths.
          context.fillStyle = colours.ego;
          context.globalAlpha = 0.35;
          context.fillRect(-length - 18 * episode.action[frame], -width / 2, 18 * episode.action[frame], width);
          context.globalAlpha = 1;
        }
        context.restore();
      });
    }

    // Where the ego believes each car to be, tied to where it really is; fainter with age.
    _drawGhosts(context, colours, scale) {
      const { episode } = this;
      const frame = Math.floor(this.place);
      for (const [car, age, , x, y] of episode.heard[frame]) {
        const real = [this._at(episode.x[car]), this._at(episode.y[car])];
        context.strokeStyle = colours.heard;
        context.globalAlpha = 1 - 0.7 * (age / episode.stale_ms);
        context.lineWidth = 1.4 / scale;
        context.beginPath(); context.arc(x / 100, y / 100, Math.max(0.9, 4 / scale), 0, 2 * Math.PI); context.stroke();
        if (real[0] !== null) {
          context.lineWidth = 0.8 / scale;
          context.beginPath(); context.moveTo(x / 100, y / 100); context.lineTo(...real); context.stroke();
        }
      }
      context.globalAlpha = 1;
    }

    _drawLabels(context, colours, scale) {
      const { episode, size } = this;
      const frame = Math.floor(this.place);
      const ages = new Map(episode.heard[frame].map(([car, age, links]) => [car, [age, links]]));
      const taken = [];
      const overlaps = (box) => taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1]);
      context.textAlign = "center";
      const order = episode.cars.map((_, index) => index).sort((a, b) => this._rank(b) - this._rank(a));
      for (const index of order) {
        const car = episode.cars[index];
        const middle = this._middle(index);
        if (!middle || car.role === "other") continue;
        const point = this._transform.transformPoint(new DOMPoint(...middle));
        const x = point.x / size.ratio, y = point.y / size.ratio;
        if (x < -20 || x > size.width + 20 || y < 0 || y > size.height) continue;
        const heard = ages.get(index);
        const note = index === episode.ego ? null : heard ? `${heard[0]} ms${heard[1] > 1 ? ` · ${heard[1]} links` : ""}` : "not heard";
        const name = index === episode.ego ? "ego" : car.id;
        context.font = "600 11px system-ui, sans-serif";
        const half = Math.max(context.measureText(name).width, note ? context.measureText(note).width : 0) / 2 + 2;
        const lift = Math.max(14, 1.4 * scale + 6);
        let box = [x - half, y - lift - 24, x + half, y - lift];
        let top = y - lift - 12;
        if (overlaps(box)) { box = [x - half, y + lift - 4, x + half, y + lift + 22]; top = y + lift + 6; }
        if (overlaps(box)) continue;
        taken.push(box);
        context.fillStyle = colours[car.role === "equipped" ? "peer" : car.role];
        context.fillText(name, x, note ? top : top + 10);
        if (note) {
          context.font = "11px system-ui, sans-serif";
          context.fillStyle = heard ? colours.muted : colours.lost;
          context.fillText(note, x, top + 12);
        }
      }
    }

    _rank(index) { return { ego: 4, hazard: 3, late: 2, peer: 1 }[this.episode.cars[index].role] ?? 0; }

    _drawScale(context, colours, scale) {
      const length = [5, 10, 20, 50, 100].find((metres) => metres * scale > 50) ?? 200;
      const { width, height } = this.size;
      const right = width - 14, bottom = height - 14;
      context.strokeStyle = context.fillStyle = colours.muted;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(right - length * scale, bottom - 4); context.lineTo(right - length * scale, bottom);
      context.lineTo(right, bottom); context.lineTo(right, bottom - 4);
      context.stroke();
      context.font = "11px system-ui, sans-serif";
      context.textAlign = "right";
      context.fillText(`${length} m`, right, bottom - 8);
    }

    _sayState() {
      const { episode } = this;
      const frame = Math.floor(this.place);
      const action = episode.action[frame], gap = episode.gap[frame], leader = episode.leader_speed[frame];
      const speed = episode.speed[episode.ego][frame];
      const held = episode.distracted.some(([first, end]) => frame >= first && frame < end);
      const driver = action > 0.0625 ? `policy brakes ${Math.round(100 * action)} %` : held ? "driver looks away" : "driver drives";
      const part = (label, value) => element("div", {}, element("dt", {}, label), element("dd", {}, value));
      this.readout.replaceChildren(element("dl", {},
        part("gap", gap === null ? "no car ahead" : `${gap.toFixed(1)} m`),
        part("speed", speed === null ? "left the road" : `${speed.toFixed(1)} m/s`),
        part("car ahead", leader === null ? "—" : `${leader.toFixed(1)} m/s`),
        part("acceleration", `${(Math.round(10 * episode.accel[frame]) / 10 + 0).toFixed(1)} m/s²`.replace("-", "−")), part("brake", driver)));
    }

    // ---- strips ---------------------------------------------------------------------------------------------------------------

    _heardRows() {
      const { episode } = this;
      const counts = new Map();
      for (const rows of episode.heard) for (const [car] of rows) counts.set(car, (counts.get(car) ?? 0) + 1);
      if (episode.hazard !== null && !counts.has(episode.hazard)) counts.set(episode.hazard, 0);
      return [...counts.keys()].sort((a, b) => this._rank(b) - this._rank(a) || counts.get(b) - counts.get(a)).slice(0, 8);
    }

    _drawStrips() {
      const { episode } = this;
      const width = Math.max(260, this.strips.parentElement.clientWidth);
      const rows = this._heardRows();
      const speeds = [...episode.speed[episode.ego], ...episode.leader_speed].filter((value) => value !== null);
      const gaps = episode.gap.filter((value) => value !== null);
      const strips = [
        { name: "gap to the car ahead, m", height: 54, low: Math.min(0, ...gaps), high: clamp(Math.max(1, ...gaps), 10, 100),
          lines: [[episode.gap, "ego"]] },
        { name: "speed, m/s", height: 54, low: 0, high: Math.max(5, ...speeds), lines: [[episode.leader_speed, "peer"], [episode.speed[episode.ego], "ego"]],
          note: "ego and car ahead" },
        { name: "brake command, share of 8 m/s²", height: 44, low: 0, high: 1, area: episode.action, lines: [[episode.accel.map((value) => Math.max(0, -value / 8)), "muted"]],
          note: "line: deceleration achieved" },
        { name: "age of what the ego knows", height: 12 + 9 * Math.max(1, rows.length), rows },
      ];
      const total = strips.reduce((sum, strip) => sum + strip.height + 26, 20);
      this.strips.setAttribute("viewBox", `0 0 ${width} ${total}`);
      this.strips.setAttribute("height", total);
      this.strips.replaceChildren();
      const last = Math.max(1, episode.frames - 1);
      this.toX = (frame) => STRIP_LEFT + (frame / last) * (width - STRIP_LEFT - STRIP_RIGHT);
      this.toFrame = (x) => ((x - STRIP_LEFT) / (width - STRIP_LEFT - STRIP_RIGHT)) * last;
      this._shade(total);
      let top = 0;
      for (const strip of strips) { this._strip(strip, top + 20, width); top += strip.height + 26; }
      this._timeAxis(total, last);
      this.cursor = svg("line", { class: "cursor", y1: 0, y2: total - 16 });
      this.strips.append(this.cursor);
    }

    _shade(total) {
      const { episode } = this;
      const band = (first, end, kind, text) => {
        const shade = svg("rect", { class: `shade ${kind}`, x: this.toX(first), width: Math.max(1, this.toX(end) - this.toX(first)), y: 0, height: total - 16 });
        shade.append(svg("title", {}, text));
        this.strips.append(shade);
      };
      for (const [first, end] of episode.distracted) band(first, end, "shade-distracted", "the driver looks away");
      if (episode.hazard_window) band(...episode.hazard_window, "shade-hazard", "the hazard");
      for (const event of episode.events) {
        if (event.kind !== "radio") continue;
        const x = this.toX(event.t / episode.dt_s);
        this.strips.append(svg("line", { class: "mark-heard", x1: x, x2: x, y1: 0, y2: total - 16 }));
      }
    }

    _strip(strip, top, width) {
      const name = svg("text", { class: "strip-name", x: 0, y: top - 6 }, strip.name);
      if (strip.note && width > 420) name.append(svg("tspan", { class: "strip-note" }, `  (${strip.note})`));
      this.strips.append(name);
      if (strip.rows) { this._ageRows(strip.rows, top); return; }
      const toY = (value) => top + strip.height - ((clamp(value, strip.low, strip.high) - strip.low) / (strip.high - strip.low)) * strip.height;
      this.strips.append(svg("line", { class: "strip-base", x1: STRIP_LEFT, x2: width - STRIP_RIGHT, y1: toY(0), y2: toY(0) }));
      this.strips.append(svg("text", { class: "strip-limit", x: STRIP_LEFT - 6, y: toY(strip.high) + 8 }, strip.high.toFixed(0)));
      if (strip.area) {
        const bars = strip.area.map((value, frame) => (value > 0.0625 ? `M${this.toX(frame).toFixed(1)},${toY(0).toFixed(1)}V${toY(value).toFixed(1)}H${this.toX(frame + 1).toFixed(1)}V${toY(0).toFixed(1)}Z` : "")).join("");
        this.strips.append(svg("path", { class: "strip-area", d: bars }));
      }
      for (const [values, kind] of strip.lines) {
        let path = "", isDown = false;
        values.forEach((value, frame) => {
          if (value === null) { isDown = false; return; }
          path += `${isDown ? "L" : "M"}${this.toX(frame).toFixed(1)},${toY(value).toFixed(1)}`;
          isDown = true;
        });
        this.strips.append(svg("path", { class: `strip-line line-${kind}`, d: path }));
      }
    }

    _ageRows(rows, top) {
      const { episode } = this;
      rows.forEach((car, row) => {
        const y = top + 2 + 9 * row;
        let first = 0, now = undefined;
        const flush = (end) => {
          if (now === undefined || now === null) return;
          const level = Math.min(4, Math.floor((now / episode.stale_ms) * 5));
          this.strips.append(svg("rect", { class: `age age-${level}`, x: this.toX(first), width: Math.max(0.5, this.toX(end) - this.toX(first)), y, height: 6 }));
        };
        for (let frame = 0; frame < episode.frames; frame += 1) {
          const age = episode.heard[frame].find(([source]) => source === car)?.[1] ?? null;
          if (age !== now) { flush(frame); first = frame; now = age; }
        }
        flush(episode.frames - 1);
        const label = svg("text", { class: `age-name age-name-${episode.cars[car].role}`, x: STRIP_LEFT - 6, y: y + 6.5 }, shortened(episode.cars[car].id));
        label.append(svg("title", {}, episode.cars[car].id));
        this.strips.append(label);
      });
    }

    _timeAxis(total, last) {
      const length_s = last * this.episode.dt_s;
      const step = [1, 2, 5, 10].find((value) => length_s / value <= 9) ?? 20;
      for (let time = 0; time <= length_s + 1e-6; time += step) {
        const x = this.toX(time / this.episode.dt_s);
        const side = x > this.toX(last) - 14 ? "end" : "middle";
        this.strips.append(svg("text", { class: "strip-time", x, y: total - 3, style: `text-anchor: ${side}` }, `${time} s`));
      }
    }

    _moveCursor() {
      if (!this.cursor) return;
      const x = this.toX(this.place);
      this.cursor.setAttribute("x1", x);
      this.cursor.setAttribute("x2", x);
    }

    _scrubStrips() {
      const move = (event) => {
        if (!this.episode || !(event.buttons & 1)) return;
        const box = this.strips.getBoundingClientRect();
        this.pause();
        this.seek(this.toFrame(((event.clientX - box.left) / box.width) * this.strips.viewBox.baseVal.width));
      };
      this.strips.addEventListener("pointerdown", (event) => { this.strips.setPointerCapture(event.pointerId); move(event); });
      this.strips.addEventListener("pointermove", move);
    }
  }

  return { unpack, Player };
})();
