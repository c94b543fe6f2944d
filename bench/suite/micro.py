"""Single functions: bearer-micro."""
import json
import subprocess

from suite.programs import Workplace, need
from suite.result import judge


def measure(report):
    program, = need("bearer-micro")
    with Workplace() as place:
        path = place.dir / "micro.json"
        subprocess.run([program, "--json", str(path)], check=True, stdout=subprocess.DEVNULL)
        rows = json.loads(path.read_text())
    by_name = {row["name"]: row for row in rows}
    for row in rows:
        reference = by_name.get(row.get("reference"))
        goal = row.get("goal_ns")
        added = report.add("one call, one thread", row["name"], row["ns"], "ns",
                           note="%.2f GB/s" % row["gb_s"] if "gb_s" in row else None)
        if reference:
            added.update(reference=row["reference"], reference_value=reference["ns"],
                         ratio=row["ratio"])
        if goal:
            judge(added, goal, by_ratio=False)
