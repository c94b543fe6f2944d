"""Figures: a row for each, the table, the JSON."""
import json
import statistics
import sys
import time


class Skip(Exception):
    """A part cannot run here; the text says what is missing."""


class Report:
    def __init__(self, options, machine):
        self.runs, self.seconds = options.runs, options.seconds
        self.machine = machine
        self.rows, self.skipped, self.failed = [], [], []

    def run(self, name, measure):
        began = time.monotonic()
        say("%s ..." % name)
        try:
            measure(self)
        except Skip as why:
            self.skipped.append({"part": name, "why": str(why)})
            say("skipped: %s: %s" % (name, why))
            return
        except AssertionError as why:
            self.failed.append({"part": name, "why": str(why)})
            say("FAILED: %s: %s" % (name, why))
            return
        say("%s: %.0f s" % (name, time.monotonic() - began))

    def skip(self, part, why):
        """One figure of a part that goes on without it."""
        self.skipped.append({"part": part, "why": why})
        say("skipped: %s: %s" % (part, why))

    def add(self, group, name, runs, unit, reference=None, reference_runs=None, goal=None,
            note=None):
        """`runs`: the values, or one. `reference`: what they are compared with.
        `goal`: the most, of the ratio if there is a reference, else of the value."""
        value, against = median(runs), median(reference_runs)
        ratio = value / against if against else None
        by_ratio = ratio is not None
        row = {"group": group, "name": name, "value": value, "unit": unit, "runs": listed(runs),
               "reference": reference, "reference_value": against,
               "reference_runs": listed(reference_runs), "ratio": ratio, "note": note}
        judge(row, goal, by_ratio)
        self.rows.append(row)
        return row

    def print_table(self):
        print("\n%(cpu)s, %(cores)d CPUs, Linux %(kernel)s, %(openssl)s" % self.machine)
        print("medians of %d runs; load average before: %.1f" % (
            self.runs, self.machine["load_before"]))
        group = None
        for row in self.rows:
            if row["group"] != group:
                group = row["group"]
                print("\n%s" % group)
            print("  " + format_row(row))
        for skipped in self.skipped:
            print("\nskipped: %(part)s: %(why)s" % skipped)
        for failed in self.failed:
            print("\nFAILED: %(part)s: %(why)s" % failed)
        sys.stdout.flush()

    def write(self, path):
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"machine": self.machine, "runs": self.runs, "seconds": self.seconds,
                       "rows": self.rows, "skipped": self.skipped, "failed": self.failed}, out, indent=1)
            out.write("\n")
        print("\nwritten: %s" % path)


def judge(row, goal, by_ratio):
    """Sets the goal: of the ratio to the reference, or of the value itself."""
    judged = row["ratio"] if by_ratio else row["value"]
    row.update(goal=goal, goal_of="ratio" if by_ratio else "value",
               met=None if goal is None else judged <= goal)


def format_row(row):
    text = "%-56s %9s %-5s" % (row["name"], number(row["value"]), row["unit"])
    if row["ratio"] is not None:
        text += " %6.2f x %s (%s)" % (row["ratio"], row["reference"], number(row["reference_value"]))
    if row["goal"] is not None:
        text += "; goal %g%s: %s" % (row["goal"], " x" if row["goal_of"] == "ratio" else "",
                                     "met" if row["met"] else "MISSED")
    if row["note"]:
        text += "; " + row["note"]
    return text.rstrip()


def number(value):
    if value is None:
        return "-"
    return "%.0f" % value if abs(value) >= 1000 else "%.1f" % value if abs(value) >= 100 else \
        "%.2f" % value


def listed(values):
    return values if values is None or isinstance(values, list) else [values]


def median(values):
    if values is None:
        return None
    return statistics.median(values) if isinstance(values, list) else values


def alternate(runs, variants):
    """Runs each variant in turn, `runs` times; a list of results for each name."""
    results = {name: [] for name in variants}
    for _ in range(runs):
        for name, variant in variants.items():
            results[name].append(variant())
    return results


def say(text):
    print("bench: " + text, file=sys.stderr, flush=True)
