// What pages do by themselves: the theme, keys, copying, choosing many, and the live overview.
(function () {
  "use strict";

  function say(text) {
    document.getElementById("said").textContent = text;
  }

  function isDark() {
    var chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  function setUpTheme() {
    var button = document.getElementById("theme");
    function name() {
      button.textContent = isDark() ? "Light" : "Dark";
      button.setAttribute("aria-label", isDark() ? "Use the light theme" : "Use the dark theme");
    }
    button.hidden = false;
    name();
    button.addEventListener("click", function () {
      var next = isDark() ? "light" : "dark";
      document.documentElement.dataset.theme = next;
      try {
        localStorage.setItem("ledger-theme", next);
      } catch (unavailable) {
        say("This browser keeps no settings: the theme lasts for this page.");
      }
      name();
      document.dispatchEvent(new Event("ledger:theme"));
    });
  }

  function isTyping(element) {
    return element.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName);
  }

  function setUpKeys() {
    document.addEventListener("keydown", function (event) {
      var search = document.getElementById("search");
      if (event.key === "/" && search && !isTyping(event.target) && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    });
  }

  function setUpCopying(root) {
    root.querySelectorAll("button.copy").forEach(function (button) {
      button.hidden = !navigator.clipboard;
    });
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest("button.copy");
    if (button) {
      navigator.clipboard.writeText(button.dataset.copy).then(
        function () { say("Copied."); button.textContent = "copied"; },
        function () { say("The browser does not let this page copy."); }
      );
    }
  });

  document.addEventListener("change", function (event) {
    if (event.target.matches("input[data-choose-all]")) {
      var form = event.target.closest("form");
      form.querySelectorAll("input[name=letter]").forEach(function (box) {
        box.checked = event.target.checked;
      });
    }
  });

  var shown = {};

  function replace(id, html) {
    var element = document.getElementById(id);
    if (element && shown[id] !== html) {
      shown[id] = html;
      var focused = element.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      element.innerHTML = html;
      if (focused) {
        var again = element.querySelector('a[href="' + CSS.escape(focused) + '"]');
        if (again) { again.focus(); }
      }
    }
  }

  var REFUSED_MS = 30000;
  var live = document.querySelector("[data-live]");
  var source = null;

  function tellLive(isLive) {
    document.getElementById("live-state").textContent = isLive ? ", and live from here on" : "; no news come just now";
    live.classList.toggle("stale", !isLive);
  }

  function listen() {
    source = new EventSource(live.dataset.live);
    source.addEventListener("open", function () { tellLive(true); });
    source.addEventListener("error", function () {
      tellLive(false);
      // To a stream that was refused, a browser does not come back by itself.
      if (source.readyState === EventSource.CLOSED) { lookWhy(); }
    });
    source.addEventListener("overview", function (event) {
      var told = JSON.parse(event.data);
      replace("strip", told.strip);
      replace("troubles", told.troubles);
      tellLive(true);
    });
  }

  // There are too many, or the API is away: it is tried again. Or the session has ended: its page says so.
  function lookWhy() {
    fetch(location.href, { redirect: "manual" }).then(
      function (answer) {
        if (answer.type === "opaqueredirect") { location.reload(); } else { setTimeout(listen, REFUSED_MS); }
      },
      function () { setTimeout(listen, REFUSED_MS); }
    );
  }

  function setUpLive() {
    if (!live) { return; }
    listen();
    addEventListener("pagehide", function () { source.close(); });
  }

  setUpTheme();
  setUpKeys();
  setUpCopying(document);
  setUpLive();
  document.addEventListener("htmx:afterSettle", function (event) { setUpCopying(event.target); });
  // What was found before would stand there as if it were what is looked for now.
  ["htmx:responseError", "htmx:sendError"].forEach(function (name) {
    document.addEventListener(name, function (event) {
      var note = document.createElement("p");
      note.className = "note bad";
      var isRefused = event.detail.xhr && event.detail.xhr.status === 429;
      note.textContent = isRefused
        ? "It could not be looked up: too many requests were made. Wait a moment."
        : "It could not be looked up: PostgreSQL or the API may be away. Try again.";
      event.detail.target.replaceChildren(note);
      say(note.textContent);
    });
  });
})();
