// The list of worst episodes and its player: an episode is unpacked when it is chosen, the first one when it comes into view.
"use strict";

for (const stage of document.querySelectorAll(".stage")) {
  const buttons = [...stage.parentElement.querySelectorAll("button.pick")];
  let player = null;

  const watch = async (button, moveThere) => {
    const episode = await RoadSense.unpack(document.getElementById(button.dataset.episode).textContent);
    player ??= new RoadSense.Player(stage);
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    player.show(episode);
    if (moveThere) stage.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    document.documentElement.dataset.watching = button.dataset.episode;
  };

  for (const button of buttons) button.addEventListener("click", () => watch(button, true));
  const first = () => { if (!player && buttons.length) watch(buttons[0], false); };
  new IntersectionObserver((entries, observer) => {
    if (entries.some((entry) => entry.isIntersecting)) { observer.disconnect(); first(); }
  }, { rootMargin: "300px" }).observe(stage);
  addEventListener("beforeprint", first);
}
document.documentElement.dataset.ready = "yes";
