// The player around road and strips: what it is made of, playing, keys. A page calls RoadSense.unpack(base64) -> Promise(episode)
// and new RoadSense.Player(element).show(episode).
"use strict";

RoadSense.Player = (() => {
  const { element, svg, clamp, seconds } = RoadSense;

  return class Player extends RoadSense.Strips {
    constructor(root) {
      super();
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
  };
})();
