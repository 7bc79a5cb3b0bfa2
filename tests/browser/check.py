"""Makes audit reports, of the demo and of logs with hostile names, and looks at them in a headless browser.

A page around the report, which is no part of it, measures what a person would notice: whether the page is wider than the screen, letters that are too
small, and text that does not stand out from what is behind it. The browser's own log says what failed or was refused.
"""

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

WIDTHS = [390, 1280]
SCHEMES = {"dark": 0, "light": 1}
# Smallest letters, pixels, and least contrast (WCAG 2.2, AA).
MIN_PIXELS, MIN_CONTRAST = 10, 4.5
HOSTILE = ["</script><script>document.title='run'</script>", "a\" onload=\"document.title='run'", "<img src=x onerror=document.title='run'>",
           "abc\u202efdp.exe", "'\"><svg onload=document.title='run'>", "a-caller-with-a-name-that-is-much-longer-than-any-column-of-a-table-" + "x" * 80]

MEASURE = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><iframe id="f" src="REPORT" style="border:0;width:WIDTHpx;height:HEIGHTpx"></iframe><pre id="result"></pre><script>
document.getElementById('f').onload = () => {
  const page = document.getElementById('f').contentDocument, view = page.defaultView, faults = [];
  const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = c => { const l = c.slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * l[0] + .7152 * l[1] + .0722 * l[2]; };
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(view.getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > .99) return c; } return [255, 255, 255]; };
  if (page.documentElement.scrollWidth > WIDTH) faults.push('wider than the screen: ' + page.documentElement.scrollWidth);
  const walk = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  for (let node; (node = walk.nextNode());) {
    const e = node.parentElement;
    if (!node.data.trim() || ['STYLE', 'title', 'desc'].includes(e.tagName)) continue;
    texts += 1;
    const style = view.getComputedStyle(e), svg = e.closest('svg');
    const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
    const size = parseFloat(style.fontSize) * scale;
    if (size < MIN_PIXELS) faults.push('small: ' + size.toFixed(1) + ' ' + node.data.slice(0, 40));
    const [a, b] = [light(rgb(svg ? style.fill : style.color)), light(behind(svg ? svg.parentElement : e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < MIN_CONTRAST) faults.push('faint: ' + ((a + .05) / (b + .05)).toFixed(1) + ' ' + node.data.trim().slice(0, 40));
    if (!svg && !e.closest('.table')) { const box = e.getBoundingClientRect(); if (box.right > WIDTH + 1) faults.push('outside: ' + node.data.trim().slice(0, 40)); }
  }
  const links = [...page.querySelectorAll('a')].filter(a => !page.getElementById(a.hash.slice(1)));
  if (links.length) faults.push('links that lead nowhere: ' + links.map(a => a.hash));
  document.getElementById('result').textContent = JSON.stringify({ texts, title: page.title, scripts: page.scripts.length, dark: light(behind(page.body)) < .2,
    height: page.documentElement.scrollHeight, charts: page.querySelectorAll('svg[role=img] > title').length, faults: [...new Set(faults)].slice(0, 20) });
};</script></body>"""


def run(*command, **options):
    return subprocess.run([os.fspath(part) for part in command], check=True, text=True, capture_output=True, timeout=600, **options)


def apiwarden(*arguments):
    return run(os.environ["APIWARDEN"], *arguments)


def browse(page, scheme, width, height, *more):
    """Opens a page: what it prints, and what the browser complains of."""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking", "--no-first-run",
             "--allow-file-access-from-files", "--enable-logging=stderr", f"--window-size={width},{height}",
             f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", "--virtual-time-budget=5000"]
    done = run(os.environ["CHROMIUM"], *flags, *more, page.as_uri())
    # What else it logs is about itself, not about the page.
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def look(report, directory, charts):
    """Looks at a report at each width and in each scheme; what is wrong with it."""
    faults = []
    for width in WIDTHS:
        for scheme in SCHEMES:
            name = f"{report.stem}-{width}-{scheme}"
            around = directory / f"{name}.measure.html"
            text = MEASURE.replace("REPORT", report.name).replace("WIDTH", str(width)).replace("HEIGHT", "900")
            around.write_text(text.replace("MIN_PIXELS", str(MIN_PIXELS)).replace("MIN_CONTRAST", str(MIN_CONTRAST)))
            printed, complaints = browse(around, scheme, max(width, 500), 900, "--dump-dom")
            found = re.search(r'<pre id="result">(.+?)</pre>', printed, re.DOTALL)
            measured = json.loads(html.unescape(found[1])) if found else {"faults": ["the page did not load"]}
            wrong = complaints + measured["faults"]
            if not wrong:
                expected = {"scripts": 0, "charts": charts, "dark": scheme == "dark"}
                wrong = [f"{key}: {measured[key]}, expected {value}" for key, value in expected.items() if measured[key] != value]
                if measured["texts"] < 300 or not measured["title"].startswith("Third-party API audit"):
                    wrong.append(f"not the whole report: {measured['texts']} texts, {measured['title']}")
            around.unlink()
            faults += [f"{name}: {fault}" for fault in wrong]
            frame = directory / f"{name}.frame.html"
            frame.write_text(f'<body style="margin:0"><iframe src="{report.name}" style="border:0;width:{width}px;height:2000px"></iframe>')
            browse(frame, scheme, max(width, 500), 2000, f"--screenshot={directory / name}.png")
            frame.unlink()
            print(f"{name}: {measured.get('texts')} texts, {measured.get('charts')} charts, {measured.get('height')} pixels high, {len(wrong)} faults")
    return faults


def demo(directory):
    """The report that the demo's own last lines say how to make."""
    printed = apiwarden("demo", "--directory", directory / "demo").stdout
    command = next(line for line in printed.splitlines() if line.strip().startswith("apiwarden audit "))
    report = directory / "demo.html"
    apiwarden(*[report if word == "report.html" else word for word in command.split()[1:]])
    return report


def hostile(directory):
    """A report on calls whose names are markup."""
    logs, report = directory / "hostile.ndjson", directory / "hostile.html"
    with logs.open("w") as file:
        for day in range(1, 10):
            for number, name in enumerate(HOSTILE):
                file.write(json.dumps({
                    "@timestamp": f"2026-09-{day:02}T12:00:00.000Z", "event": {"duration": 1000000, "id": f"{day} {number}"}, "service": {"name": name},
                    "url": {"scheme": "https", "domain": "api.stripe.com", "path": "/v1/" + name.replace("/", "")},
                    "http": {"request": {"method": "POST"}, "response": {"status_code": 200}}, "labels": {"credential_id": "key"}}) + "\n")
    apiwarden("catalog", "build", "--input", logs, "--store", directory / "hostile-catalog")
    apiwarden("audit", "--store", directory / "hostile-catalog", "--output", report)
    return report


def main():
    directory = Path(sys.argv[1])
    faults = look(demo(directory), directory, 6) + look(hostile(directory), directory, 4)
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(faults)} faults")
    sys.exit(1 if faults else 0)


main()
