#!/usr/bin/env python3
"""Measures in PyTorch what clm bench measured, and writes the same report.

  clm bench gemm attention --json clm.json
  python3 tests/peers/bench_torch.py clm.json torch.json
  clm bench --compare torch.json clm.json

Needs torch. The cases, their sizes and work are those of the first report; a case that has no
counterpart here is named and left out. Each is written as somebody who wants PyTorch to be fast
would: out= and in-place forms, fused AdamW, scaled_dot_product_attention, nothing kept that is not
needed. Time is taken as clm bench takes it.

With --openblas LIBRARY the products are those of OpenBLAS instead (libopenblas.so, or the one that
numpy brings), for which OPENBLAS_CORETYPE may name the processor. PyTorch's own, MKL, takes slower
kernels on a processor that is not Intel's; a library with

  int mkl_serv_intel_cpu_true(void) { return 1; }

before it (LD_PRELOAD) has it take those that the processor can run.
"""
import argparse
import ctypes
import datetime
import json
import math
import platform
import sys
import time

import torch
import torch.nn.functional as F

C, H, V, CONTEXT = 768, 12, 50257, 1024
SAMPLE_SECONDS = 0.01
LABELS = 2
NOISE_LIMIT = 0.1


class Unknown(Exception):
    pass


# ---- kernels: each returns what one repeat runs ----

def uniform(*shape, device):
    return torch.rand(*shape, device=device) * 2 - 1


# OpenBLAS's cblas_sgemm and its type of whole numbers, with --openblas.
sgemm, sgemm_int = None, None


def load_openblas(path):
    global sgemm, sgemm_int
    library = ctypes.CDLL(path)
    for symbol, sgemm_int in (("cblas_sgemm", ctypes.c_int),
                              ("scipy_cblas_sgemm64_", ctypes.c_int64)):
        if hasattr(library, symbol):
            sgemm = getattr(library, symbol)
            return
    sys.exit(f"{path} has no cblas_sgemm")


def openblas(M, N, K, a, b, c, beta):
    """c = a b + beta c, where a and b may be transposed views."""
    def matrix(x):
        transposed = x.stride(1) != 1
        return transposed, ctypes.c_void_p(x.data_ptr()), sgemm_int(x.stride(int(transposed)))

    (a_transposed, a_data, a_stride), (b_transposed, b_data, b_stride) = matrix(a), matrix(b)
    return lambda: sgemm(101, 112 if a_transposed else 111, 112 if b_transposed else 111,
                         sgemm_int(M), sgemm_int(N), sgemm_int(K), ctypes.c_float(1), a_data,
                         a_stride, b_data, b_stride, ctypes.c_float(beta),
                         ctypes.c_void_p(c.data_ptr()), sgemm_int(c.stride(0)))


def gemm(name, p, device):
    M, N, K = p["M"], p["N"], p["K"]
    what = name.split("/")[1]
    if what.endswith("-dw"):  # added to the gradient that is there
        a, b, c = (uniform(K, M, device=device).t(), uniform(K, N, device=device),
                   uniform(M, N, device=device))
        if sgemm:
            run = openblas(M, N, K, a, b, c, 1)
            return lambda keep=(a, b, c): run()
        return lambda: torch.addmm(c, a, b, out=c)
    b_transposed = what.endswith("-dx") or what == "logits"
    a = uniform(M, K, device=device)
    b = uniform(N, K, device=device).t() if b_transposed else uniform(K, N, device=device)
    c = uniform(M, N, device=device)
    if sgemm:
        run = openblas(M, N, K, a, b, c, 0)
        return lambda keep=(a, b, c): run()
    return lambda: torch.mm(a, b, out=c)


def attention(name, p, device):
    if "/pooled-" in name:
        raise Unknown(name)
    B, T = p["B"], p["T"]
    backward = name.endswith("/backward")
    qkv = uniform(B, T, 3 * C, device=device).requires_grad_(backward)

    def forward():
        q, k, v = (x.view(B, T, H, C // H).transpose(1, 2) for x in qkv.split(C, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return y.transpose(1, 2).reshape(B, T, C)

    if not backward:
        return forward
    dout = uniform(B, T, C, device=device)
    out = forward()
    return lambda: torch.autograd.grad(out, qkv, dout, retain_graph=True)


def layernorm(name, p, device):
    rows, c = p["rows"], p["C"]
    x, w, b = (uniform(rows, c, device=device), uniform(c, device=device),
               uniform(c, device=device))
    if name.endswith("/forward"):
        return lambda: torch.native_layer_norm(x, [c], w, b, 1e-5)
    dout, dresidual = uniform(rows, c, device=device), uniform(rows, c, device=device)
    dw, db = torch.zeros(c, device=device), torch.zeros(c, device=device)
    _, mean, rstd = torch.native_layer_norm(x, [c], w, b, 1e-5)

    def backward():
        gx, gw, gb = torch.ops.aten.native_layer_norm_backward(dout, x, [c], mean, rstd, w, b,
                                                               [True, True, True])
        dw.add_(gw)
        db.add_(gb)
        return gx.add_(dresidual)

    return backward


def crossentropy(name, p, device):
    x = (uniform(p["rows"], p["V"], device=device) * 4)
    targets = torch.zeros(p["rows"], dtype=torch.long, device=device)
    if name.endswith("/forward"):
        return lambda: F.cross_entropy(x, targets, reduction="none")
    x.requires_grad_(True)

    def backward():  # like clm's, from the logits
        return torch.autograd.grad(F.cross_entropy(x, targets), x)

    return backward


def adamw(_, p, device):
    w = torch.nn.Parameter(uniform(p["n"], device=device))
    w.grad = uniform(p["n"], device=device)
    return torch.optim.AdamW([w], lr=1e-6, weight_decay=0.1, fused=True).step


def embedding(name, p, device):
    B, T = p["B"], p["T"]
    wte, wpe = uniform(V, C, device=device), uniform(CONTEXT, C, device=device)
    tokens = (torch.arange(B * T, device=device) * 7919 % V).view(B, T)
    if name.endswith("/forward"):
        return lambda: F.embedding(tokens, wte).add_(wpe[:T])
    dout = uniform(B, T, C, device=device)

    def backward():
        wte.index_add_(0, tokens.view(-1), dout.view(-1, C))
        wpe[:T].add_(dout.sum(0))

    return backward


def stream(name, p, device):
    rows, c = p["rows"], p["C"]
    x, y, out = (uniform(rows, c, device=device) for _ in range(3))
    sums = torch.zeros(c, device=device)
    half = {"f16": torch.float16, "bf16": torch.bfloat16}
    if name.startswith("convert/"):
        to, kind = name.split("-to-")[1], [k for k in half if name.endswith(k) or f"/{k}" in name]
        short = torch.zeros(rows, c, dtype=half[kind[-1]], device=device)
        return (lambda: out.copy_(short)) if to == "f32" else (lambda: short.copy_(x))
    return {
        "gelu/forward": lambda: torch.ops.aten.gelu.out(x, approximate="tanh", out=out),
        "gelu/backward": lambda: torch.ops.aten.gelu_backward.grad_input(
            y, x, approximate="tanh", grad_input=out),
        "residual/forward": lambda: torch.add(x, y, out=out),
        "dropout/forward": lambda: F.dropout(x, 0.1, training=True),
        "reduce/square-sum": lambda: torch.dot(x.view(-1), x.view(-1)),
        "reduce/columns": lambda: sums.add_(x.sum(0)),
    }[name]


# ---- jobs ----

class Block(torch.nn.Module):
    def __init__(self, c):
        super().__init__()
        self.ln_1, self.ln_2 = torch.nn.LayerNorm(c), torch.nn.LayerNorm(c)
        self.qkv, self.proj = torch.nn.Linear(c, 3 * c), torch.nn.Linear(c, c)
        self.fc, self.fc2 = torch.nn.Linear(c, 4 * c), torch.nn.Linear(4 * c, c)

    def forward(self, x):
        b, t, c = x.shape
        heads = max(1, c // 64)
        q, k, v = (z.view(b, t, heads, -1).transpose(1, 2)
                   for z in self.qkv(self.ln_1(x)).split(c, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.fc2(F.gelu(self.fc(self.ln_2(x)), approximate="tanh"))


class GPT2(torch.nn.Module):
    """The classifier of LLMs-from-scratch, chapter 6: a head on the last position."""

    def __init__(self, layers, c, vocabulary):
        super().__init__()
        self.wte, self.wpe = torch.nn.Embedding(vocabulary, c), torch.nn.Embedding(CONTEXT, c)
        self.blocks = torch.nn.ModuleList(Block(c) for _ in range(layers))
        self.ln_f, self.score = torch.nn.LayerNorm(c), torch.nn.Linear(c, LABELS)

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe.weight[:tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.score(self.ln_f(x[:, -1]))


# How many blocks each trains.
POLICIES = {"head": 0, "last-block": 1, "last-two-blocks": 2, "all": None}


def freeze(model, policy):
    if policy == "all":
        return
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    parts = [model.score] + ([model.ln_f] if policy != "head" else [])
    for part in parts + list(model.blocks[len(model.blocks) - POLICIES[policy]:]):
        for parameter in part.parameters():
            parameter.requires_grad_(True)


def train(name, p, device):
    what = name.split("/")[1]
    if what not in POLICIES:  # PyTorch's own loop keeps no features of frozen layers
        raise Unknown(name)
    model = GPT2(p["L"], p["C"], p["V"]).to(device)
    freeze(model, what)
    tokens = (torch.arange(p["B"] * p["T"], device=device) * 7919 % p["V"]).view(p["B"], p["T"])
    labels = torch.arange(p["B"], device=device) % LABELS
    trained = [q for q in model.parameters() if q.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=5e-5, weight_decay=0.1, fused=True)

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(tokens), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def classify(_, p, device):
    model = GPT2(p["L"], p["C"], p["V"]).to(device).eval()
    tokens = (torch.arange(p["B"] * p["T"], device=device) * 7919 % p["V"]).view(p["B"], p["T"])

    def run():
        with torch.inference_mode():
            return model(tokens).tolist()

    return run


GROUPS = {"gemm": gemm, "attention": attention, "layernorm": layernorm,
          "crossentropy": crossentropy, "adamw": adamw, "embedding": embedding, "gelu": stream,
          "residual": stream, "dropout": stream, "reduce": stream, "convert": stream,
          "train": train, "classify": classify}


def make(name, parameters, device):
    """What one repeat of a case runs; Unknown when there is nothing like it here."""
    group = name.split("/")[0]
    if group not in GROUPS:
        raise Unknown(name)
    sizes = {k: int(v) for k, v in (pair.split("=") for pair in parameters.split())}
    torch.manual_seed(1)
    try:
        return GROUPS[group](name, sizes, device)
    except KeyError as error:
        raise Unknown(name) from error


# ---- the clock ----

def finish(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "xpu":
        torch.xpu.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def chain(run, repeats, device):
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    finish(device)
    return time.perf_counter() - start


def quantile(ordered, part):
    at = part * (len(ordered) - 1)
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])


def measure(run, device, seconds, least):
    """As src/bench/timing.c does it."""
    repeats, spent, samples = 1, 0.0, []
    if chain(run, 1, device) <= seconds:
        took = chain(run, 1, device)
        while took < SAMPLE_SECONDS and repeats < 65536:
            repeats *= 2
            took = chain(run, repeats, device)
    while not (samples and spent > 10 * seconds or len(samples) >= 1000 or
               len(samples) >= least and spent >= seconds):
        took = chain(run, repeats, device)
        spent += took
        samples.append(took / repeats)
    samples.sort()
    return {"median": quantile(samples, 0.5), "minimum": samples[0],
            "lower_quartile": quantile(samples, 0.25), "upper_quartile": quantile(samples, 0.75),
            "samples": len(samples), "repeats": repeats}


# ---- reports ----

def grad_needed(name):
    return name.split("/")[0] == "train" or name in ("attention/backward", "crossentropy/backward")


def measure_case(like, device, seconds, least):
    """A result like clm's, measured here; None when there is nothing like it."""
    try:
        with torch.set_grad_enabled(grad_needed(like["name"])):
            run = make(like["name"], like["parameters"], device)
            times = measure(run, device, seconds, least)
    except Unknown:
        return None
    work = {k: like[k] for k in ("name", "parameters", "skipped", "item", "flop", "bytes", "items")}
    return {**work, **times}


def reference(device):
    """What is measured again at the end, to tell a busy machine: the best of some products."""
    run = gemm("gemm/proj", {"M": 960, "N": 768, "K": 768}, device)
    chain(run, 1, device)
    return min(chain(run, 4, device) for _ in range(10))


def blas():
    lines = [line.strip(" -") for line in torch.__config__.show().splitlines()]
    names = [name for name in ("MKL", "OpenBLAS", "cuBLAS", "Accelerate")
             if any(name.lower() in line.lower() for line in lines)]
    return "+".join(names) or "unknown BLAS"


def device_name(device):
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def make_report(results, like, device, seconds, least, noise):
    """The members of clm_bench_report; what follows from others is left to the reader."""
    version = f"{torch.__version__}, {torch.get_num_threads()} threads, {blas()}"
    return {"program": "PyTorch", "program_version": version[:95],
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "device": device_name(device)[:255], "vendor": "", "platform": str(device),
            "driver": str(torch.version.cuda or ""), "device_version": "",
            "type": "CPU" if device.type == "cpu" else "GPU", "model": like["model"], "gemm": "",
            "seconds": seconds, "peak_gflops": 0, "copy_gbytes_second": 0, "noise": noise,
            "noise_limit": NOISE_LIMIT, "compute_units": torch.get_num_threads(),
            "least_samples": least, "quick": like["quick"], "noisy": noise > NOISE_LIMIT,
            "results": results}


def write(path, report):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"schema": "clm-bench", "schema_version": 1, "reports": [report]}, file, indent=1)
        file.write("\n")


def read(path):
    """The one report of a file."""
    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    if data.get("schema") != "clm-bench" or data.get("schema_version") != 1:
        sys.exit(f"{path}: is no report of clm bench, version 1")
    if len(data["reports"]) != 1:
        sys.exit(f"{path}: has {len(data['reports'])} reports; one is needed")
    return data["reports"][0]


def add_options(parser):
    parser.add_argument("--torch-device", default="cpu", help="cpu (default), cuda, xpu, mps")
    parser.add_argument("--openblas", metavar="LIBRARY", help="for the products")
    parser.add_argument("--threads", type=int, help="default: PyTorch's")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each case, default 1")
    parser.add_argument("--samples", type=int, default=7, help="at least, default 7")


def prepare(options):
    """The device; says what PyTorch is."""
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.openblas:
        load_openblas(options.openblas)
    device = torch.device(options.torch_device)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {blas()}, "
          f"{device_name(device)}", flush=True)
    return device


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("like", help="a report of clm bench, which names the cases")
    parser.add_argument("out", help="the report to write")
    add_options(parser)
    options = parser.parse_intermixed_args()
    like = read(options.like)
    device = prepare(options)
    results = []
    before = reference(device)
    for case in like["results"]:
        if case["skipped"]:
            continue
        result = measure_case(case, device, options.seconds, options.samples)
        if result is None:
            print(f"{case['name']} {case['parameters']}: nothing like it in PyTorch", flush=True)
            continue
        print(f"{case['name']:<26} {case['parameters']:<28} {result['median'] * 1e3:10.3f} ms",
              flush=True)
        results.append(result)
    after = reference(device)
    noise = 1 - min(before, after) / max(before, after)
    write(options.out, make_report(results, like, device, options.seconds, options.samples, noise))


if __name__ == "__main__":
    main()
