// A file of a form goes to the appliance in pieces before the form does: `data-upload` is where, NAME stands for its name.
// A field for several files sends them one after the other, and gives the form a line for each: hash and name.
"use strict";
(() => {
  const PIECE = 8 * 2 ** 20, TRIES = 5;
  const pause = (tried) => new Promise((done) => setTimeout(done, 1000 * tried));
  for (const form of document.querySelectorAll("form[data-upload]")) {
    const input = form.querySelector("input[type=file]"), sent = form.querySelector(".sent"), buttons = form.querySelectorAll("button");
    const lock = (on) => buttons.forEach((each) => { each.disabled = on; });
    const tell = (part) => {
      sent.hidden = false;
      sent.querySelector("progress").value = part;
      sent.querySelector("span").textContent = form.dataset.sending.replace("{0}", Math.floor(part * 100));
    };
    // `before` bytes of `all` that are to be sent are there: what is shown is how far all files are together.
    const send = async (file, before = 0, all = file.size) => {
      const name = file.name.replace(/[^A-Za-z0-9._+~:-]/g, "-").replace(/^[^A-Za-z0-9_]+/, "").slice(-190) || "image.iso";
      const place = form.dataset.upload.replace("NAME", encodeURIComponent(name));
      const headers = { "X-CSRF-Token": form.elements.csrf.value };
      const there = await fetch(`${place}?size=${file.size}`, { headers });
      let at = there.ok ? (await there.json()).received : 0;
      if (at >= file.size) at = 0;
      for (let tried = 0; ;) {
        tell((before + at) / (all || 1));
        const end = Math.min(at + PIECE, file.size);
        let reply;
        try {
          reply = await fetch(place, { method: "PUT", body: file.slice(at, end), headers: { ...headers, "Content-Type": "application/octet-stream", "Content-Range": `bytes ${at}-${end - 1}/${file.size}` } });
        } catch (error) {
          if (++tried === TRIES) throw error;
          await pause(tried);
          continue;
        }
        const said = await reply.json();
        if (!reply.ok) throw new Error(said.detail || form.dataset.failed);
        tried = 0;
        at = end;
        if (said.sha256) return said.sha256;
      }
    };
    input.closest("[hidden]")?.removeAttribute("hidden");
    form.addEventListener("submit", async (event) => {
      const file = input.files[0], pressed = event.submitter;
      if (!file || buttons[0].disabled) return;
      event.preventDefault();
      lock(true);
      try {
        if (input.multiple) {
          const files = [...input.files], lines = [], all = files.reduce((sum, each) => sum + each.size, 0);
          let before = 0;
          for (const each of files) {
            lines.push(`${await send(each, before, all)} ${each.name}`);
            before += each.size;
          }
          form.elements.upload.value = lines.join("\n");
        } else {
          form.elements.upload.value = await send(file);
          form.elements.filename.value = file.name;
        }
        if (pressed?.name) form.append(Object.assign(document.createElement("input"), { type: "hidden", name: pressed.name, value: pressed.value }));
        form.submit();
      } catch (error) {
        sent.hidden = false;
        sent.querySelector("span").textContent = error instanceof TypeError ? form.dataset.failed : error.message;
        lock(false);
      }
    });
  }
})();
