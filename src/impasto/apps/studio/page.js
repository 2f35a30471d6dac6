// The page's own controls: places to drop files, tiles to press, the slider between two pictures.
// Each listens on its root, which stays while what is in it is drawn anew. `trigger` sends an event to the server.
window.studio = {
  drop(element, trigger, upload, limit, pastes) {
    const send = async (list) => {
      const files = [...list].filter((file) => file.size);
      if (!files.length) return;
      const large = files.find((file) => file.size > limit);
      if (large) return trigger("upload", { bytes: large.size });
      element.classList.add("busy");
      try {
        const sent = [];
        for (const file of files) sent.push((await upload(file)).path);
        trigger("upload", { paths: sent });
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
      over(false);
      send(event.dataTransfer.files);
    });
    if (pastes) document.addEventListener("paste", (event) => send(event.clipboardData.files));
  },

  tiles(element, trigger, props, watch) {
    const mark = () => {
      for (const tile of element.querySelectorAll("[data-key]"))
        tile.setAttribute("aria-pressed", (props.chosen ?? []).includes(tile.dataset.key));
    };
    watch(["value", "chosen"], mark);
    mark();
    element.addEventListener("click", (event) => {
      const tile = event.target.closest("[data-key]");
      if (tile) trigger("select", { key: tile.dataset.key });
    });
  },

  compare(element) {
    element.addEventListener("input", (event) => element.style.setProperty("--at", event.target.value / 100));
  },
};
// A file dropped beside its place must not replace the page.
for (const type of ["dragover", "drop"]) window.addEventListener(type, (event) => event.preventDefault());
