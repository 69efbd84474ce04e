// The road from above, on a canvas: lanes, cars, links, what the ego believes. `this.place` is the frame that is shown, between two too.
"use strict";

RoadSense.Stage = (() => {
  const { element, clamp, seconds, DELIVERED, LOST } = RoadSense;

  return class Stage {
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
  };
})();
