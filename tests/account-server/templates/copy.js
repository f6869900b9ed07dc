// Copies the key. Without it the key is selected by one click and copied by hand.
"use strict";
const key = document.getElementById("key");
const button = document.getElementById("copy");
const said = document.getElementById("copied");
button.hidden = false;
button.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(key.textContent);
    said.textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(key);
    said.textContent = "It cannot be copied by itself: it is selected, copy it by hand.";
  }
});
