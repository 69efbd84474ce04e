// An episode as roadsense/report/episode/payload.py packs it, unpacked, and small helpers of the player. Loaded first.
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

  return { unpack, element, svg, clamp, seconds, shortened, DELIVERED, LOST, STRIP_LEFT, STRIP_RIGHT };
})();
