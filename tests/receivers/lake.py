"""DuckDB reads the Parquet files of `security_lake` as a table with Hive partitions, and a full disk is a clear error.

The full disk is a tmpfs in a namespace of its own; where that is not allowed, this part says so.
"""

import json
import os
import subprocess
import sys

from standalone import Failed, Trial, main

ROWS = 10
QUERY = """
import duckdb, json, sys
rows = duckdb.sql(f'''
    select region, "accountId", cast("eventDay" as varchar), metadata.uid, class_uid, severity, finding_info.title, time,
           json_extract_string(unmapped, '$.apiwarden.category')
    from read_parquet('{sys.argv[1]}/**/*.parquet', hive_partitioning = true, hive_types_autocast = false) order by time, metadata.uid''')
print(json.dumps(rows.fetchall()))
"""


def test(trial: Trial):
    section = 'type = "security_lake"\npath = "lake"\nregion = "eu-central-1"\naccount = "123456789012"\n'
    for _ in range(ROWS):
        trial.must_send(section)
    lake = trial.directory / "lake"
    found = subprocess.run([sys.executable, "-c", QUERY, lake], capture_output=True, text=True)
    if found.returncode:
        raise Failed(found.stderr)
    rows = json.loads(found.stdout)
    if len(rows) != 2 * ROWS or len({row[3] for row in rows}) != 2 * ROWS:
        raise Failed(f"{len(rows)} rows")
    for region, account, day, uid, class_uid, severity, title, _, category in rows:
        expected = ("eu-central-1", "123456789012", 2004, "Medium", "Test of apiwarden", "operations")
        if (region, account, class_uid, severity, title, category) != expected or len(day) != 8 or not uid.startswith("aw-test-"):
            raise Failed(f"{(region, account, day, uid, class_uid, severity, title, category)}")
    hidden = [name for _, _, names in os.walk(lake) for name in names if not name.endswith(".parquet")]
    if hidden:
        raise Failed(f"left behind: {hidden}")
    print(f"DuckDB 1.4.1: {len(rows)} findings of {ROWS} files, each once, by region, accountId and eventDay")

    script = 'mount -t tmpfs -o size=16k none lake && head -c 16384 /dev/zero >lake/filler 2>/dev/null; exec "$@"'
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", trial.apiwarden, "sinks", "test"]
    done = subprocess.run([*command, trial.name_of(section), "--pipeline", trial.directory / "pipeline.toml"], cwd=trial.directory, capture_output=True, text=True)
    if "unshare" in done.stderr or "mount" in done.stderr:
        print(f"the full disk was not tried: {done.stderr.strip()}")
    elif done.returncode == 0 or "No space left" not in done.stderr:
        raise Failed(f"a full disk: {done.stdout} {done.stderr}")
    else:
        print(f"a full disk: {done.stderr.strip().splitlines()[-1].strip()}")


main(test)
