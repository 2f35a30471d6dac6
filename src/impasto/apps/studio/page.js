// The page's own controls: places to drop files, tiles to press, the slider between two pictures.
// Each listens on its root, which stays while what is in it is drawn anew. `trigger` sends an event to the server.
window.studio = {
  // Every wish has a number greater than those before: they may reach the server in any order.
  turns: 0,
  turn() { return (studio.turns += 1); },

  // Which picture is shown, as soon as it is no sketch.
  async mark() {
    for (let wait = 0; studio.figure()?.dataset.sketch && wait < 100; wait += 1)
      await new Promise((done) => setTimeout(done, 100));
    return studio.shown();
  },
  figure() { return document.querySelector(".compare"); },
  shown() { return studio.figure()?.dataset.mark ?? ""; },
  unsaved: false,

  drop(element, trigger, upload, limit, pastes) {
    const send = async (list) => {
      let files = [...list].filter((file) => file.size);
      if (!files.length) return;
      if (pastes) { // a style's file is no photo, wherever it is dropped
        const styles = files.filter((file) => file.name.endsWith(".impasto"));
        if (styles.length) studio.styles(styles);
        files = files.filter((file) => !styles.includes(file));
        if (!files.length) return;
      }
      const large = files.find((file) => file.size > limit);
      if (large) return trigger("upload", { bytes: large.size });
      element.classList.add("busy");
      const turn = studio.turn(); // of now, not of when it will have arrived
      try {
        const sent = [];
        for (const file of files) sent.push((await upload(file)).path);
        trigger("upload", { paths: sent, turn });
      } catch (error) {
        trigger("upload", { problem: true });
      } finally {
        element.classList.remove("busy");
      }
    };
    const over = (is) => element.classList.toggle("over", is);
    element.addEventListener("change", (event) => {
      if (event.target.type !== "file") return;
      send([...event.target.files]);
      event.target.value = ""; // the same file may be chosen again
    });
    element.addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
    element.addEventListener("dragleave", () => over(false));
    element.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      over(false);
      send(event.dataTransfer.files);
    });
    if (!pastes) return void (studio.styles = send);
    studio.cut = (box) => trigger("apply", { box, turn: studio.turn() });
    studio.photo = send; // dropped anywhere else, such as on the stage, it is a photo as well
    document.addEventListener("paste", (event) => send(event.clipboardData.files));
  },

  tiles(element, trigger, props, watch) {
    const mark = () => {
      for (const tile of element.querySelectorAll("[data-key]"))
        tile.setAttribute("aria-pressed", (props.chosen ?? []).includes(tile.dataset.key));
      studio.sift();
    };
    watch(["value", "chosen"], () => { mark(); studio.keep(); });
    mark();
    element.addEventListener("click", (event) => {
      const gone = event.target.closest("[data-remove]");
      if (gone) {
        studio.discard(gone.dataset.remove);
        return trigger("delete", { key: gone.dataset.remove });
      }
      const tile = event.target.closest("[data-key]");
      if (!tile) return;
      trigger("select", { key: tile.dataset.key });
      // Where all stands in one column, the picture may be out of sight.
      if (tile.closest("#style, #visit") && matchMedia("(max-width: 900px)").matches) {
        const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
        document.querySelector("#stage").scrollIntoView({ behavior: calm ? "auto" : "smooth" });
      }
    });
  },

  // Leave those styles in sight whose words have in them what is searched for.
  sift() {
    const words = (document.querySelector("#search input")?.value ?? "").toLowerCase().split(/\s+/);
    for (const section of document.querySelectorAll("#style section")) {
      let some = false;
      for (const tile of section.querySelectorAll("[data-key]")) {
        const said = `${tile.textContent} ${tile.title} ${tile.dataset.key}`.toLowerCase();
        const fits = words.every((word) => said.includes(word));
        (tile.closest(".own") ?? tile).hidden = !fits;
        some ||= fits;
      }
      section.hidden = !some;
    }
  },

  compare(element, watch) {
    element.addEventListener("input", (event) => element.style.setProperty("--at", event.target.value / 100));
    element.addEventListener("click", (event) => event.target.closest(".zoom") && studio.zoom(element));
    watch("value", () => {
      studio.unsaved = studio.shown() !== "" && !studio.kept.safe.has(studio.figure().dataset.full);
      studio.keep();
    });
  },

  // One pixel of the picture is one of the screen.
  zoom(element) {
    const figure = element.querySelector(".compare"), picture = new Image(), room = document.createElement("dialog");
    picture.src = figure.dataset.full || figure.querySelector(".after").src;
    picture.alt = "The painting at 100 %";
    picture.onload = () => { picture.style.width = `${picture.naturalWidth / devicePixelRatio}px`; };
    const leave = document.createElement("button");
    leave.textContent = "Close";
    room.id = "zoom";
    room.append(picture, leave);
    room.addEventListener("click", () => room.close());
    room.addEventListener("close", () => room.remove());
    document.querySelector("#studio").append(room);
    room.showModal();
  },

  // Follow a link to a file, as soon as there is one.
  save(element, watch) {
    watch("value", () => {
      element.querySelector("a")?.click();
      studio.unsaved = false;
    });
  },

  // Whose visit this is: who reloads the page comes back to it.
  remember(element, watch) {
    watch("value", () => {
      const key = element.querySelector("[data-visit]")?.dataset.visit;
      if (key) sessionStorage.setItem("impasto", key);
      studio.keep();
    });
  },

  // A slider moves: sketches, one at a time, until it rests; then the picture.
  hand(element, trigger, watch) {
    let rest = 0, asked = 0, moved = false, rests = false;
    const next = () => {
      asked = 0;
      if (rests) trigger("apply");
      else if (moved) sketch();
      rests = moved = false;
    };
    const sketch = () => {
      moved = false;
      if (!studio.figure()) return;
      trigger("input");
      asked = setTimeout(next, 2000); // or it was lost on the way
    };
    watch("value", () => {
      const picture = element.querySelector("[data-picture]")?.dataset.picture, figure = studio.figure();
      if (picture && figure && asked) {
        figure.querySelector(".after").src = picture;
        figure.dataset.sketch = "yes";
      }
      clearTimeout(asked);
      next();
    });
    document.addEventListener("input", (event) => {
      if (!event.target.closest("#strength, #scale, .weight")) return;
      clearTimeout(rest);
      rest = setTimeout(() => { if (asked) rests = true; else trigger("apply"); }, 300);
      rests = false;
      moved = true;
      if (!asked) sketch();
    });
  },
};
document.addEventListener("input", (event) => event.target.closest("#search") && studio.sift());
// What was made is gone with the page.
window.addEventListener("beforeunload", (event) => studio.unsaved && event.preventDefault());
// A file dropped beside its place must not replace the page.
window.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.querySelector("#stage")?.classList.toggle("over", !!event.target.closest?.("#stage"));
});
window.addEventListener("drop", (event) => {
  event.preventDefault();
  document.querySelector("#stage")?.classList.remove("over");
  studio.photo?.(event.dataTransfer.files);
});
