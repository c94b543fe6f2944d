"""Stores of accounts: bearer-accounts, and the start of bearerd with all of them."""
import json
import os
import pathlib
import subprocess
import time

from lib.util import Process, free_port, program

from suite.programs import Workplace, need

COUNTS = {"sqlite": (1000, 10000, 100000), "file": (1000, 10000)}
CHANGES = ("add", "change", "token", "remove")
START_SECONDS, START_MB = 2.0, 200


def measure(report):
    store, _ = need("bearer-accounts", "bearerd")
    with Workplace() as place:
        for kind, counts in COUNTS.items():
            least = None
            for count in counts:
                location = "%s:%s" % (kind, place.dir / ("%s-%d" % (kind, count)))
                subprocess.run([store, location, "fill", str(count)], check=True)
                rounds = 200 if kind == "sqlite" else 5
                runs = [json.loads(subprocess.check_output([store, location, "measure", str(rounds)]))
                        for _ in range(report.runs)]
                least = least or runs
                add_rows(report, kind, count, runs, least)
                add_start(report, kind, count, [start(place, location) for _ in range(report.runs)])


def add_rows(report, kind, count, runs, least):
    group = "accounts in a store: %s, %d of them" % (kind, count)
    report.add(group, "all loaded, CPU time", [run["load_cpu_us"] / 1e3 for run in runs], "ms",
               note="%.1f us each" % (min(run["load_cpu_us"] for run in runs) / count))
    for change in CHANGES:
        name = {"token": "a refresh token replaced"}.get(change, "one: " + change)
        key = change + "_cpu_us"
        report.add(group, name + ", CPU time", [run[key] for run in runs], "us",
                   reference="%d accounts" % least[0]["accounts"] if least is not runs else None,
                   reference_runs=[run[key] for run in least] if least is not runs else None,
                   note="on the disk after %.1f ms" % (min(run[change + "_us"] for run in runs) / 1e3))


def add_start(report, kind, count, starts):
    group = "accounts in a store: %s, %d of them" % (kind, count)
    report.add(group, "bearerd: start until they are known, CPU time", [s["cpu"] for s in starts], "s")
    report.add(group, "bearerd: start until it takes mail, on the clock", [s["wall"] for s in starts],
               "s", goal=START_SECONDS if kind == "sqlite" else None)
    report.add(group, "bearerd: memory of the broker", [s["rss"] for s in starts], "MB",
               goal=START_MB if kind == "sqlite" else None)


def start(place, location):
    config = place.dir / "empty.yaml"
    config.write_text("")
    began = time.monotonic()
    process = Process(program("bearerd") + [
        "--config", str(config), "--accounts", location, "--host", "127.0.0.1", "--port",
        str(free_port()), "--admin-port", "0", "--log-level", "info"], stream="stderr")
    try:
        process.wait_for(lambda: any("event=accounts_loaded" in line for line in process.lines), 60,
                         "the accounts")
        cpu = cpu_seconds(process.pid)
        process.wait_for(lambda: any("event=ready" in line for line in process.lines), 60, "ready")
        return {"cpu": cpu, "wall": time.monotonic() - began,
                "rss": memory_of(process.pid, "VmHWM") / 1024}
    finally:
        process.kill_all()


def cpu_seconds(pid):
    fields = pathlib.Path("/proc/%d/stat" % pid).read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid, which="VmRSS"):
    """In KB."""
    for line in pathlib.Path("/proc/%d/status" % pid).read_text().splitlines():
        if line.startswith(which + ":"):
            return int(line.split()[1])
    return None
