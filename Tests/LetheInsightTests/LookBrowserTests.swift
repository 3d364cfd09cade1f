import Foundation
import LetheInsight
import LetheTestSupport
import Testing

/// The page in a real browser: it runs without complaint, and pointer, keys and address move the cursor.
@Suite(
  .serialized, .enabled(if: Browser.path != nil, "no chromium on PATH: the page is not tried in a browser"))
struct LookBrowserTests {
  /// Runs `probe` at the end of the page and returns what it put into the element `probe`, and the console.
  private func run(_ report: LookReport, address: String = "", probe: String) throws -> (
    found: String, console: [String]
  ) {
    let end = "</body>"
    let extra = """
      <pre id="probe"></pre><script nonce="lethe">
      const found = [], tell = words => found.push(words);
      const at = (what, x, y) => { const plot = document.querySelector(what), box = plot.getBoundingClientRect();
        plot.dispatchEvent(new PointerEvent("pointermove", {bubbles: true,
          clientX: box.left + x * box.width, clientY: box.top + y})); };
      const press = (key, target) => (target || document.body).dispatchEvent(
        new KeyboardEvent("keydown", {key, bubbles: true}));
      const text = id => document.getElementById(id).textContent;
      \(probe)
      document.getElementById("probe").textContent = found.join("|");
      </script>
      """
    let outcome = try Browser.open(
      report.html().replacingOccurrences(of: end, with: extra + end), address: address)
    let start = try #require(outcome.page.range(of: "<pre id=\"probe\">"), "no page: \(outcome.console)")
      .upperBound
    let stop = try #require(outcome.page.range(of: "</pre>", range: start..<outcome.page.endIndex)).lowerBound
    return (String(outcome.page[start..<stop]), outcome.console)
  }

  @Test func pointerTellsWhatIsUnderIt() throws {
    let report = LookSamples.sentence()
    let order = GateMemory.order(of: [GateMemory(keep: report.layers[0].signals[0].values)])
    let (found, console) = try run(
      report,
      probe: """
        at(".gate .plot", 3.5 / 35, 2); tell(text("tip")); tell(text("where"));
        tell(document.querySelector(".t.here").textContent);
        at(".ledger .plot", 34.5 / 35, 3); tell(text("tip"));
        at(".profile .plot", 3.5 / 35, 10); tell(text("tip")); tell(text("where"));
        document.querySelector(".ledger .plot").dispatchEvent(new PointerEvent("pointerleave"));
        tell(document.getElementById("tip").hidden);
        """)
    #expect(console.isEmpty)
    let parts = found.components(separatedBy: "|")
    let value = Double(report.layers[0].signals[0].values[3][order[0]])
    #expect(parts[0].hasPrefix("forget, unit \(order[0]), step 4 “not”: "))
    #expect(abs((Double(parts[0].suffix(4)) ?? .nan) - value) < 0.01)
    #expect(parts[1] == "step 4 “not”")
    #expect(parts[2] == "not")
    #expect(parts[3].hasPrefix("written at step 1 “the”, read at step 35 “.”: "))
    #expect(parts[4].hasPrefix("written at step 4 “not”, read at step 35 “.”: ") && parts[4].hasSuffix("%"))
    #expect(parts[5] == "step 35 “.”")
    #expect(parts[6] == "true")
  }

  @Test func keysAndAddressMoveTheCursor() throws {
    let (found, console) = try run(
      LookSamples.sentence(), address: "#step=12",
      probe: """
        tell(text("where")); press("ArrowLeft"); tell(text("where"));
        tell(document.getElementById("cursor").value);
        press("ArrowRight"); press("ArrowRight"); tell(text("where"));
        const plot = document.querySelector(".gate .plot");
        press("ArrowDown", plot); press("ArrowDown", plot); tell(text("tip"));
        press("Home", plot); tell(text("where")); press("ArrowLeft"); tell(text("where"));
        const slider = document.getElementById("cursor"); slider.value = 33;
        slider.dispatchEvent(new Event("input")); tell(slider.getAttribute("aria-valuetext"));
        const view = document.getElementById("ledger-view"); view.selectedIndex = 1;
        const before = document.getElementById("profile-bars").getAttribute("d");
        view.dispatchEvent(new Event("change"));
        tell(before !== document.getElementById("profile-bars").getAttribute("d"));
        """)
    #expect(console.isEmpty)
    let order = GateMemory.order(of: [GateMemory(keep: LookSamples.sentence().layers[0].signals[0].values)])
    let parts = found.components(separatedBy: "|")
    #expect(parts[0...3] == ["step 12 “ending”", "step 11 “the”", "10", "step 13 “is”"])
    #expect(parts[4].hasPrefix("forget, unit \(order[1]), step 13 “is”: "))
    #expect(parts[5...] == ["step 1 “the”", "step 1 “the”", "step 34 “dull”", "true"])
  }

  @Test(arguments: [LookSamples.digit(), LookSamples.signal(steps: 400, units: 20), LookSamples.broken()])
  func everyPageRunsWithoutComplaint(_ report: LookReport) throws {
    let (found, console) = try run(
      report,
      probe: """
        document.querySelectorAll(".plot").forEach(plot => plot.dispatchEvent(
          new PointerEvent("pointermove", {clientX: 600, clientY: plot.getBoundingClientRect().top + 5})));
        tell(document.documentElement.scrollWidth > innerWidth ? "wide" : "fits");
        tell([...document.querySelectorAll("canvas")].every(one => one.width > 0));
        """)
    #expect(console.isEmpty)
    #expect(found == "fits|true")
  }
}

/// Chromium without a window.
enum Browser {
  /// Where it is; nil where there is none.
  static let path: String? = {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
    for name in ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"] {
      for folder in folders where FileManager.default.isExecutableFile(atPath: folder + "/" + name) {
        return folder + "/" + name
      }
    }
    return nil
  }()

  /// The document after its scripts ran, and what they wrote to the console.
  static func open(_ html: String, address: String) throws -> (page: String, console: [String]) {
    let folder = try TemporaryFolder()
    let file = folder.path + "/page.html"
    try html.write(toFile: file, atomically: true, encoding: .utf8)
    for name in ["page", "log"] {
      FileManager.default.createFile(atPath: folder.path + "/" + name, contents: nil)
    }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(path))
    process.arguments = [
      "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
      "--user-data-dir=\(folder.path)/profile",
      "--window-size=390,900", "--enable-logging=stderr", "--dump-dom", "file://\(file)\(address)",
    ]
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.path + "/page"))
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.path + "/log"))
    try process.run()
    let end = Date(timeIntervalSinceNow: 120)
    while process.isRunning, Date() < end { usleep(20_000) }
    if process.isRunning { process.terminate() }
    process.waitUntilExit()
    let log = try String(contentsOfFile: folder.path + "/log", encoding: .utf8)
    return (
      try String(contentsOfFile: folder.path + "/page", encoding: .utf8),
      log.split(separator: "\n").map(String.init).filter { $0.contains("CONSOLE") }
    )
  }
}
