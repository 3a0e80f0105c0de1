#!/usr/bin/env python3
"""Measures clm and PyTorch in turns, case by case, so that both see the same machine.

  python3 tests/peers/side_by_side.py build/bin/clm gemm/qkv attention train/last-block

Without names, all cases of `clm bench --list`. A round measures one after the other; who goes first
changes with each round and each case. The ratio of a case is the median over the rounds of
PyTorch's time to clm's; above 1, clm is faster. With --out DIR reports of the middle rounds, each
program's by its own time, are written there as torch.json and clm.json, for `clm bench --compare`.
"""
import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile

import bench_torch


def list_names(clm, wanted):
    """Names of cases, in clm's order, that are or whose groups are wanted."""
    lines = subprocess.run([clm, "bench", "--list"], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    names = list(dict.fromkeys(line.split()[0] for line in lines))
    unknown = [w for w in wanted if not any(n == w or n.split("/")[0] == w for n in names)]
    if unknown:
        sys.exit(f"clm bench --list has no {', '.join(unknown)}")
    return [n for n in names if not wanted or n in wanted or n.split("/")[0] in wanted]


def run_clm(options, name, folder):
    """clm's report of one name."""
    path = os.path.join(folder, "clm.json")
    command = [options.clm, "bench", name, "--json", path, "--seconds", str(options.seconds),
               "--samples", str(options.samples)]
    if options.device:
        command += ["--device", options.device]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "CLM_LOG": "quiet"})
    return bench_torch.read(path)


def run_torch(options, device, cases):
    """PyTorch's results by parameters, of the cases it has."""
    results = {}
    for case in cases:
        if not case["skipped"]:
            result = bench_torch.measure_case(case, device, options.seconds, options.samples)
            if result is not None:
                results[case["parameters"]] = result
    return results


def merge(rounds):
    """The middle round of a case, by its median."""
    return sorted(rounds, key=lambda r: r["median"])[(len(rounds) - 1) // 2]


def measure_name(options, device, name, folder, turn):
    """(clm's report, [(clm's rounds, PyTorch's rounds)] for each case of a name)."""
    report = run_clm(options, name, folder)  # names the cases; counts as the first round of clm
    pairs = {c["parameters"]: ([], []) for c in report["results"] if not c["skipped"]}
    for i in range(options.rounds):
        torch_first = (i + turn) % 2 == 1
        ours = None if torch_first else (report if i == 0 else run_clm(options, name, folder))
        theirs = run_torch(options, device, report["results"])
        ours = ours or run_clm(options, name, folder)
        for result in ours["results"]:
            if result["parameters"] in theirs and not result["skipped"]:
                pairs[result["parameters"]][0].append(result)
                pairs[result["parameters"]][1].append(theirs[result["parameters"]])
    return report, [pair for pair in pairs.values() if pair[0]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("clm", help="the command")
    parser.add_argument("names", nargs="*", help="groups and cases of clm bench")
    parser.add_argument("--device", help="clm's")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--out", help="folder for torch.json and clm.json")
    bench_torch.add_options(parser)
    options = parser.parse_intermixed_args()
    names = list_names(options.clm, options.names)
    device = bench_torch.prepare(options)
    ratios, merged, report = {}, ([], []), None
    print(f"{'case':<26} {'parameters':<28} {'PyTorch':>11} {'clm':>11} {'ratio':>6}  of rounds")
    before = bench_torch.reference(device)
    with tempfile.TemporaryDirectory() as folder:
        for turn, name in enumerate(names):
            report, pairs = measure_name(options, device, name, folder, turn)
            for ours, theirs in pairs:
                each = [t["median"] / o["median"] for o, t in zip(ours, theirs)]
                ratio = statistics.median(each)
                ratios.setdefault(name.split("/")[0], []).append(ratio)
                merged[0].append(merge(ours))
                merged[1].append(merge(theirs))
                times = [1e3 * results[-1]["median"] for results in (merged[1], merged[0])]
                print(f"{name:<26} {ours[0]['parameters']:<28} {times[0]:8.3f} ms "
                      f"{times[1]:8.3f} ms {ratio:6.3f}  ",
                      *(f"{r:.2f}" for r in sorted(each)), flush=True)
            if not pairs:
                print(f"{name:<26} nothing to compare with", flush=True)
    after = bench_torch.reference(device)
    for group, values in ratios.items():
        mean = math.exp(sum(map(math.log, values)) / len(values))
        print(f"{group:<12} {mean:6.3f}  over {len(values)}")
    noise = 1 - min(before, after) / max(before, after)
    print(f"PyTorch's own reference differed by {noise:.0%} between start and end")
    if options.out and report is not None:
        os.makedirs(options.out, exist_ok=True)
        torch_report = bench_torch.make_report(merged[1], report, device, options.seconds,
                                               options.samples, noise)
        bench_torch.write(os.path.join(options.out, "torch.json"), torch_report)
        bench_torch.write(os.path.join(options.out, "clm.json"), {**report, "results": merged[0]})


if __name__ == "__main__":
    main()
