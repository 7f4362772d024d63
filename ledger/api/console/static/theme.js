// Before anything is painted: the theme that was chosen in this browser, if one was.
(function () {
  "use strict";
  var chosen = null;
  try {
    chosen = localStorage.getItem("ledger-theme");
  } catch (unavailable) {
    chosen = null;
  }
  if (chosen === "dark" || chosen === "light") {
    document.documentElement.dataset.theme = chosen;
  }
})();
