// Gap, speed, braking and the age of messages over time, as SVG below the road; dragging on them scrubs.
"use strict";

RoadSense.Strips = (() => {
  const { svg, clamp, shortened, STRIP_LEFT, STRIP_RIGHT } = RoadSense;

  return class Strips extends RoadSense.Stage {
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
  };
})();
