"""Checks dist/ and docs/ against the source: `check.py ROOT EXPRESSIONS`.

Writes the dashboard's expressions to EXPRESSIONS as recording rules, which promtool can parse.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

import yaml

root, expressions = Path(sys.argv[1]), Path(sys.argv[2])
problems = []

METRIC = re.compile(r"\bapiwarden_[a-z_]+[a-z]\b")


def check(holds, problem):
    if not holds:
        problems.append(problem)


def parse_all():
    for path in sorted((root / "dist").rglob("*")):
        try:
            if path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix in (".yml", ".yaml"):
                list(yaml.safe_load_all(path.read_text()))
            elif path.suffix == ".toml":
                tomllib.loads(path.read_text())
        except ValueError as error:
            problems.append(f"{path.relative_to(root)}: {error}")
        except yaml.YAMLError as error:
            problems.append(f"{path.relative_to(root)}: {error}")
    config = yaml.safe_load((root / "dist/kubernetes/configmap.yaml").read_text())
    tomllib.loads(config["data"]["pipeline.toml"])


def metrics():
    source = (root / "src/stream/metrics.rs").read_text()
    defined = set(re.findall(r'"(apiwarden_[a-z_]+)"', source))
    known = defined
    for path in ["dist/grafana/apiwarden.json", "dist/prometheus/rules.yml", "dist/prometheus/rules.test.yml", "docs/operations.md"]:
        for name in sorted(set(METRIC.findall((root / path).read_text()))):
            bare = re.sub(r"_(bucket|sum|count)$", "", name)
            check(name in known or bare in known, f"{path}: {name} is no metric of src/stream/metrics.rs")
    dashboard = (root / "dist/grafana/apiwarden.json").read_text()
    page = (root / "docs/operations.md").read_text()
    for name in sorted(known):
        check(name in dashboard, f"dist/grafana/apiwarden.json: {name} is not shown")
        check(f"`{name}" in page, f"docs/operations.md: {name} is not described")


def rules():
    groups = yaml.safe_load((root / "dist/prometheus/rules.yml").read_text())["groups"]
    alerts = [rule for group in groups for rule in group["rules"]]
    tests = (root / "dist/prometheus/rules.test.yml").read_text()
    headings = anchors((root / "docs/operations.md").read_text())
    for rule in alerts:
        name, runbook = rule["alert"], rule["annotations"]["runbook"]
        check(runbook == f"docs/operations.md#{name.lower()}", f"rules.yml: {name}: runbook is {runbook}")
        check(name.lower() in headings, f"docs/operations.md has no heading {name}")
        check(f'"{name}"' in tests, f"rules.test.yml does not try {name}")


def dashboard():
    board = json.loads((root / "dist/grafana/apiwarden.json").read_text())
    ids = [panel["id"] for panel in board["panels"]]
    check(len(ids) == len(set(ids)), "apiwarden.json: two panels have one id")
    recorded = []
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "5m").replace("$job", "apiwarden").replace("$instance", ".*")
            check("$" not in text, f"apiwarden.json: {panel['title']}: unknown variable in {target['expr']}")
            recorded.append({"record": f"panel:{panel['id']}:{target['refId']}", "expr": text})
    expressions.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))


def anchors(text):
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links():
    pages = [root / "README.md", root / "dist/README.md", *sorted((root / "docs").rglob("*.md"))]
    for page in pages:
        text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.S)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in link or link.startswith("mailto:"):
                continue
            target, _, anchor = link.partition("#")
            file = (page.parent / target).resolve() if target else page
            where = page.relative_to(root)
            check(file.exists(), f"{where}: {link} does not exist")
            if anchor and file.suffix == ".md" and file.exists():
                check(anchor in anchors(file.read_text()), f"{where}: {link}: no such heading")


def book():
    docs = root / "docs"
    config = tomllib.loads((docs / "book.toml").read_text())
    source = (docs / config["book"]["src"]).resolve()
    listed = {(source / link).resolve() for link in re.findall(r"\]\(([^)]+)\)", (source / "SUMMARY.md").read_text())}
    for page in sorted(docs.rglob("*.md")):
        check(page.resolve() in listed or page.name == "SUMMARY.md", f"docs/SUMMARY.md lacks {page.relative_to(docs)}")
    for page in listed:
        check(page.is_relative_to(source), f"docs/SUMMARY.md: {page} is outside of the book")


def package():
    assets = tomllib.loads((root / "Cargo.toml").read_text())["package"]["metadata"]["deb"]["assets"]
    for source, _, _ in assets:
        check(source.startswith("target/") or list(root.glob(source)), f"Cargo.toml: the asset {source} does not exist")


for step in (parse_all, metrics, rules, dashboard, links, book, package):
    step()
for problem in problems:
    print(f"check.py: {problem}", file=sys.stderr)
sys.exit(1 if problems else 0)
