"""The part of make_corpus.py that is about models and checkpoints.

SPDX-License-Identifier: Apache-2.0
"""

import json
import struct

from corpus_files import files, put

sizes = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}


def safetensors(tensors, metadata=None, text=None, extra=b""):
    """tensors: name -> (dtype, shape[, bytes]); text replaces the header."""
    header = {} if metadata is None else {"__metadata__": metadata}
    data = b""
    for name, (dtype, shape, *rest) in tensors.items():
        count = 1
        for size in shape:
            count *= size
        block = rest[0] if rest else bytes((7 * i + 1) % 64 for i in range(count * sizes[dtype]))
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [len(data), len(data) + len(block)],
        }
        data += block
    raw = (json.dumps(header, separators=(",", ":")) if text is None else text).encode()
    return struct.pack("<Q", len(raw)) + raw + data + extra


def config(**members):
    base = {
        "architectures": ["GPT2ForSequenceClassification"],
        "model_type": "gpt2",
        "vocab_size": 3,
        "n_positions": 2,
        "n_ctx": 2,
        "n_embd": 2,
        "n_head": 1,
        "n_layer": 1,
        "id2label": {"0": "ham", "1": "spam"},
        "label2id": {"ham": 0, "spam": 1},
        "pad_token_id": 0,
    }
    base.update(members)
    return json.dumps({k: v for k, v in base.items() if v is not ...})


def parameters(
    prefix="", dtype="F32", vocab=3, width=2, positions=2, layers=1, labels=2, bias=True
):
    inner = 4 * width
    out = {"wte.weight": (dtype, [vocab, width]), "wpe.weight": (dtype, [positions, width])}
    for i in range(layers):
        h = "h.%d." % i
        out.update(
            {
                h + "ln_1.weight": (dtype, [width]),
                h + "ln_1.bias": (dtype, [width]),
                h + "attn.c_attn.weight": (dtype, [width, 3 * width]),
                h + "attn.c_attn.bias": (dtype, [3 * width]),
                h + "attn.c_proj.weight": (dtype, [width, width]),
                h + "attn.c_proj.bias": (dtype, [width]),
                h + "ln_2.weight": (dtype, [width]),
                h + "ln_2.bias": (dtype, [width]),
                h + "mlp.c_fc.weight": (dtype, [width, inner]),
                h + "mlp.c_fc.bias": (dtype, [inner]),
                h + "mlp.c_proj.weight": (dtype, [inner, width]),
                h + "mlp.c_proj.bias": (dtype, [width]),
            }
        )
    out.update({"ln_f.weight": (dtype, [width]), "ln_f.bias": (dtype, [width])})
    out = {prefix + name: about for name, about in out.items()}
    if labels:
        out["score.weight"] = (dtype, [labels, width])
        if bias:
            out["score.bias"] = (dtype, [labels])
    return out


def make_safetensors():
    t = "model_safetensors"
    put(t, "all_types", safetensors({n: (n, [2]) for n in sizes}, {"format": "pt", "a": "b"}))
    put(
        t,
        "scalar_and_empty",
        safetensors({"s": ("F32", []), "e": ("F32", [0, 4]), "t": ("F16", [1, 1, 2])}),
    )
    put(
        t,
        "unknown_type",
        safetensors(
            {}, text='{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}', extra=b"x"
        ),
    )
    put(
        t,
        "wrong_type",
        safetensors(
            {}, text='{"a":{"dtype":"FLOAT","shape":[1],"data_offsets":[0,1]}}', extra=b"x"
        ),
    )
    put(
        t,
        "hole",
        safetensors(
            {}, text='{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', extra=b"xy"
        ),
    )
    put(
        t,
        "overlap",
        safetensors(
            {},
            text='{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},'
            '"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
            extra=b"xy",
        ),
    )
    put(
        t,
        "backwards",
        safetensors(
            {}, text='{"a":{"dtype":"U8","shape":[1],"data_offsets":[2,1]}}', extra=b"xy"
        ),
    )
    put(
        t,
        "size",
        safetensors(
            {}, text='{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,2]}}', extra=b"xy"
        ),
    )
    put(
        t,
        "overflow",
        safetensors(
            {},
            text='{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,2]}}',
            extra=b"xy",
        ),
    )
    put(
        t,
        "number_overflow",
        safetensors(
            {},
            text='{"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,2]}}',
            extra=b"xy",
        ),
    )
    put(
        t,
        "long_number",
        safetensors(
            {},
            text='{"a":{"dtype":"U8","shape":[%s],"data_offsets":[0,2]}}' % ("1" * 300),
            extra=b"xy",
        ),
    )
    put(t, "follows", safetensors({"a": ("U8", [1])}, extra=b"more"))
    put(
        t,
        "rank",
        safetensors(
            {},
            text='{"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}}',
            extra=b"x",
        ),
    )
    put(t, "metadata_twice", safetensors({}, text='{"__metadata__":{"a":"b"},"__metadata__":{}}'))
    put(t, "metadata_key_twice", safetensors({}, text='{"__metadata__":{"a":"b","a":"c"}}'))
    put(t, "metadata_number", safetensors({}, text='{"__metadata__":{"a":1}}'))
    put(t, "member_twice", safetensors({}, text='{"a":{"dtype":"U8","dtype":"U8"}}'))
    put(t, "member_unknown", safetensors({}, text='{"a":{"type":"U8"}}'))
    put(
        t,
        "no_shape",
        safetensors({}, text='{"a":{"dtype":"U8","data_offsets":[0,1]}}', extra=b"x"),
    )
    put(t, "no_offsets", safetensors({}, text='{"a":{"dtype":"U8","shape":[1]}}', extra=b"x"))
    put(
        t, "no_type", safetensors({}, text='{"a":{"shape":[1],"data_offsets":[0,1]}}', extra=b"x")
    )
    put(t, "utf8", struct.pack("<Q", 4) + b'{"\xff"')
    put(t, "no_brace", safetensors({}, text="[]"))
    put(
        t,
        "spaces",
        safetensors(
            {},
            text='{ "a" : { "shape" : [ 2 ] , "dtype" : "U8" , "data_offsets" : [ 0 , 2 ] } }   ',
            extra=b"xy",
        ),
    )
    put(t, "after", safetensors({}, text="{} x"))
    put(
        t,
        "surrogates",
        safetensors(
            {},
            text='{"\\ud83d\\ude00\\u00e9\\n\\"\\\\\\/\\b\\f\\r\\t":'
            '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
        ),
    )
    put(
        t,
        "lone_surrogate",
        safetensors({}, text='{"\\ud83dx":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
    )
    put(
        t,
        "escaped_nul",
        safetensors({}, text='{"a\\u0000":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
    )
    put(t, "bad_escape", safetensors({}, text='{"a\\x":{}}'))
    put(t, "bad_hex", safetensors({}, text='{"a\\u00zz":{}}'))
    put(t, "control", safetensors({}, text='{"a\x01":{}}'))
    put(t, "open_string", safetensors({}, text='{"a'))
    put(
        t,
        "leading_zero",
        safetensors(
            {}, text='{"a":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}', extra=b"x"
        ),
    )
    put(
        t,
        "negative",
        safetensors(
            {}, text='{"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}}', extra=b"x"
        ),
    )
    put(
        t,
        "fraction",
        safetensors(
            {}, text='{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}', extra=b"x"
        ),
    )
    put(t, "long_header", struct.pack("<Q", 1 << 20) + b"{}")
    put(t, "longer_header", struct.pack("<Q", 1 << 40) + b"{}")
    put(t, "short", b"abc")
    put(t, "many", safetensors({"t%d" % i: ("U8", [1]) for i in range(60)}))


def make_weights():
    t = "model_weights"
    whole = safetensors(parameters())
    put(t, "folder", files(("config.json", config()), ("model.safetensors", whole)))
    put(
        t,
        "prefix_f16",
        files(
            ("config.json", config()),
            (
                "model.safetensors",
                safetensors(
                    changed(
                        parameters("transformer.", "F16", bias=False),
                        **{
                            "transformer__h__0__attn__bias": ("F32", [1, 1, 2, 2]),
                            "transformer__h__0__attn__masked_bias": ("F32", []),
                            "other": ("F32", [1]),
                        }
                    )
                ),
            ),
        ),
    )
    put(
        t,
        "tied",
        files(
            ("config.json", config(architectures=["GPT2LMHeadModel"])),
            (
                "model.safetensors",
                safetensors(
                    changed(parameters(labels=0), **{"lm_head__weight": ("F32", [3, 2])})
                ),
            ),
        ),
    )
    same = bytes([0, 0, 128, 63] * 6)
    half = bytes([128, 63] * 6)
    put(
        t,
        "tied_same",
        files(
            ("config.json", config(architectures=["GPT2LMHeadModel"])),
            (
                "model.safetensors",
                safetensors(
                    changed(
                        parameters(labels=0),
                        **{
                            "wte__weight": ("F32", [3, 2], same),
                            "lm_head__weight": ("F32", [3, 2], same),
                        }
                    )
                ),
            ),
        ),
    )
    put(
        t,
        "tied_types",
        files(
            ("config.json", config(architectures=["GPT2LMHeadModel"])),
            (
                "model.safetensors",
                safetensors(
                    changed(
                        parameters(labels=0),
                        **{
                            "wte__weight": ("F32", [3, 2], same),
                            "lm_head__weight": ("BF16", [3, 2], half),
                        }
                    )
                ),
            ),
        ),
    )
    put(t, "alone", files(("model.safetensors", whole)))
    put(
        t, "alone_wide", files(("model.safetensors", safetensors(parameters(layers=2, labels=0))))
    )
    put(t, "alone_none", files(("model.safetensors", safetensors({"a": ("F32", [1])}))))
    put(t, "alone_rank", files(("model.safetensors", safetensors({"wte.weight": ("F32", [4])}))))
    put(
        t,
        "missing",
        files(
            ("config.json", config()),
            ("model.safetensors", safetensors({"wte.weight": ("F32", [3, 2])})),
        ),
    )
    put(
        t,
        "missing_one",
        files(
            ("config.json", config()),
            ("model.safetensors", safetensors(changed(parameters(), ln_f__bias=None))),
        ),
    )
    put(
        t,
        "shape",
        files(
            ("config.json", config()),
            (
                "model.safetensors",
                safetensors(changed(parameters(), wte__weight=("F32", [2, 3]))),
            ),
        ),
    )
    put(
        t,
        "integers",
        files(
            ("config.json", config()),
            (
                "model.safetensors",
                safetensors(changed(parameters(), wte__weight=("I32", [3, 2]))),
            ),
        ),
    )
    put(
        t,
        "layers",
        files(
            ("config.json", config()),
            (
                "model.safetensors",
                safetensors(changed(parameters(), **{"h__5__ln_1__weight": ("F32", [2])})),
            ),
        ),
    )
    put(
        t,
        "two_others",
        files(
            ("config.json", config()),
            (
                "model.safetensors",
                safetensors(changed(parameters(), x=("F32", [2]), y=("F32", [2]))),
            ),
        ),
    )
    twice = dict(parameters())
    twice["transformer.ln_f.bias"] = ("F32", [2])
    put(t, "twice", files(("config.json", config()), ("model.safetensors", safetensors(twice))))
    everything = parameters()
    names = list(everything)
    half_a = {n: everything[n] for n in names[:6]}
    half_b = {n: everything[n] for n in names[6:]}
    shards = [
        ("model-1.safetensors", safetensors(half_a)),
        ("model-2.safetensors", safetensors(half_b)),
    ]
    index = {
        "metadata": {"total_size": 1},
        "weight_map": {
            **{n: "model-1.safetensors" for n in half_a},
            **{n: "model-2.safetensors" for n in half_b},
        },
    }
    put(
        t,
        "shards",
        files(
            ("config.json", config()),
            ("model.safetensors.index.json", json.dumps(index)),
            *shards
        ),
    )
    for name, broken in {
        "shards_none": {"weight_map": {}},
        "shards_number": {"weight_map": {"a": 1}},
        "shards_outside": {"weight_map": {"a": "../a.safetensors"}},
        "shards_lies": {"weight_map": {"a": "model-1.safetensors"}},
    }.items():
        put(
            t,
            name,
            files(
                ("config.json", config()),
                ("model.safetensors.index.json", json.dumps(broken)),
                *shards[:1]
            ),
        )
    put(t, "pickle", files(("config.json", config()), ("pytorch_model.bin", "x")))
    put(
        t,
        "pickle_index",
        files(("config.json", config()), ("pytorch_model.bin.index.json", "{}")),
    )
    put(t, "adapter", files(("adapter_config.json", "{}"), ("adapter_model.safetensors", whole)))
    base = json.dumps({"base_model_name_or_path": "gpt2\u001b" + "x" * 300})
    put(t, "adapter_base", files(("adapter_config.json", base)))
    put(t, "adapter_broken", files(("adapter_config.json", "{")))
    put(t, "kind_checkpoints", files(("checkpoint-5", ""), ("checkpoint-40", ""), ("x", "")))
    put(t, "kind_snapshots", files(("snapshots", ""), ("refs", "")))
    put(t, "kind_names", files(("b.safetensors", ""), ("a.safetensors", ""), ("c.txt", "")))
    put(t, "kind_forms", files(("x.pt", ""), ("y.gguf", ""), ("tf_model.h5", ""), ("z.onnx", "")))
    put(t, "nothing", files(("other.txt", "x")))
    for i, spec in enumerate(
        [
            "random",
            "random:gpt2-medium,seed=1",
            "random:n_layer=1,n_embd=2,n_head=1,n_ctx=2,n_vocab=3,n_inner=4,seed=0",
            "random:n_layer=1,n_embd=2,n_head=1,n_ctx=2,n_vocab=3",
            "random:gpt3",
            "random:n_layer=x",
            "random:n_embd=128",
            "random:n_embd=7,n_head=2",
            "random:n_layer=99999999999",
            "random:seed=18446744073709551616",
            "random:n_vocab=0",
            "random:,",
            "random:gpt2-xl",
            "random:gpt2-large",
            "randomly",
        ]
    ):
        put(t, "spec_%d" % i, files(("spec.txt", spec)))


def make_config():
    t = "model_config"
    put(t, "classifier.json", config())
    put(t, "language.json", config(architectures=["GPT2LMHeadModel"], id2label=..., label2id=...))
    put(t, "no_labels.json", config(id2label=..., label2id=..., pad_token_id=...))
    put(t, "num_labels.json", config(id2label=..., label2id=..., num_labels=3))
    put(t, "counts_differ.json", config(num_labels=3))
    put(
        t,
        "clm.json",
        config(clm={"pooling": "last_position", "pad_token": 0, "padded_length": 2}),
    )
    put(t, "clm_other.json", config(clm={"pooling": "mean"}))
    put(t, "clm_list.json", config(clm=[]))
    put(t, "clm_last.json", config(clm={"pooling": "last_token", "pad_token": -1}))
    put(t, "labels_list.json", config(id2label=["a", "b"]))
    put(t, "labels_hole.json", config(id2label={"0": "a", "2": "b"}))
    put(t, "labels_same.json", config(id2label={"0": "a", "1": "a"}, label2id={"a": 1}))
    put(t, "labels_empty.json", config(id2label={}))
    put(t, "labels_blank.json", config(id2label={"0": "", "1": "b"}))
    put(t, "label2id_differs.json", config(label2id={"ham": 1, "spam": 0}))
    put(t, "label2id_default.json", config(label2id={"LABEL_0": 0, "LABEL_1": 1}))
    put(t, "label2id_number.json", config(label2id=3))
    put(t, "llama.json", config(model_type="llama"))
    put(t, "relu.json", config(activation_function="relu"))
    put(t, "cross.json", config(add_cross_attention=True))
    put(t, "untied.json", config(tie_word_embeddings=False))
    put(t, "architectures_number.json", config(architectures=[1]))
    put(t, "architectures_text.json", config(architectures="GPT2"))
    put(t, "architectures_null.json", config(architectures=None))
    put(t, "heads.json", config(n_head=3))
    put(
        t,
        "inner.json",
        config(
            n_inner=5, layer_norm_epsilon=1e-6, embd_pdrop=0, attn_pdrop=0.5, resid_pdrop=0.25
        ),
    )
    put(t, "dropout.json", config(embd_pdrop=2))
    put(t, "epsilon.json", config(layer_norm_epsilon=0))
    put(t, "text_number.json", config(n_embd="2"))
    put(t, "huge.json", config(n_layer=2147483647, n_embd=1 << 30))
    put(t, "pad_beyond.json", config(pad_token_id=3))
    put(t, "vocab.json", config(vocab_size=50257))
    put(
        t,
        "regression.json",
        config(problem_type="regression", id2label={"0": "x"}, label2id={"x": 0}),
    )
    put(t, "multi.json", config(problem_type="multi_label_classification"))
    put(t, "single.json", config(problem_type="single_label_classification"))
    put(t, "list.json", "[]")
    put(
        t,
        "many_labels.json",
        config(
            id2label={str(i): "c%d" % i for i in range(200)},
            label2id={"c%d" % i: i for i in range(200)},
        ),
    )


def make_checkpoints():
    t = "train_checkpoint"
    trained = {"ln_f.weight": [2], "ln_f.bias": [2], "score.weight": [2, 2], "score.bias": [2]}
    tensors = {}
    for name, shape in trained.items():
        for suffix in ("", ".first_moment", ".second_moment"):
            tensors[name + suffix] = ("F32", shape)
    tensors["random_state"] = ("U8", [2508])
    state = (
        "stage=1 step=2 epoch=0 seconds=1.500000 metrics_bytes=10 sampler_seed=7 next_batch=2 "
        "begun=1 drawn=1"
    )

    def one(name, numbers=state, run="fuzz", **members):
        metadata = {"state": numbers, "run": run}
        put(
            t,
            name,
            safetensors(
                changed(tensors, **members), {k: v for k, v in metadata.items() if v is not None}
            ),
        )

    one("whole")
    one("done", state.replace("stage=1", "stage=5"))
    one("stage", state.replace("stage=1", "stage=6"))
    one("step", state.replace("step=2", "step=-2"))
    one("epoch", state.replace("epoch=0", "epoch=-1"))
    one(
        "far",
        state.replace("step=2", "step=9223372036854775807").replace(
            "epoch=0", "epoch=2147483647"
        ),
    )
    one("overflow", state.replace("step=2", "step=99999999999999999999"))
    one("not_a_number", state.replace("1.500000", "nan"))
    one("short", "stage=1 step=2")
    one("no_state", None)
    one("other_run", run="other options")
    one("no_run", run=None)
    one("no_moment", ln_f__bias__first_moment=None)
    one("type", ln_f__bias=("F16", [2]))
    one("size", ln_f__bias=("F32", [3]))
    one("random", random_state=("U8", [10]))
    one("no_random", random_state=None)
    put(t, "no_file", b"")


def changed(tensors, **members):
    out = dict(tensors)
    for name, about in members.items():
        name = name.replace("__", ".")
        if about is None:
            del out[name]
        else:
            out[name] = about
    return out


def make_all():
    make_safetensors()
    make_weights()
    make_config()
    make_checkpoints()
