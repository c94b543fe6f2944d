"""The machine: what it is, and which processes run where on it."""
import os
import platform
import ssl


def describe():
    return {"cpu": cpu_model(), "cores": len(os.sched_getaffinity(0)),
            "kernel": platform.release(), "openssl": ssl.OPENSSL_VERSION,
            "load_before": os.getloadavg()[0]}


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def halves():
    """(for what is measured, for all the rest): one CPU and the others; the
    same set twice where there is only one."""
    cpus = sorted(os.sched_getaffinity(0))
    return ({cpus[-1]}, set(cpus[:-1])) if len(cpus) > 1 else (set(cpus), set(cpus))


def pin(pid, cpus):
    """All threads of a process; those that it makes later inherit."""
    for task in os.listdir("/proc/%d/task" % pid):
        os.sched_setaffinity(int(task), cpus)
