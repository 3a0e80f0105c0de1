#!/usr/bin/env python3
"""What Hugging Face transformers computes with each member of GPT2Config, for clm's table of them.

  python3 tests/golden/make_config_members.py        needs torch and transformers

Saves a tiny classifier as transformers does (tests/golden/members: two labels, so that config.json
has no "id2label"), then sets one member after the other to a value that is not its default, opens
the folder again and writes to config_members.h what comes of it: the same logits, others, or an
error. Every member of GPT2Config and every parameter of generation that configs used to have is
tried, as are those that only older or newer files have.
SPDX-License-Identifier: Apache-2.0
"""
import dataclasses
import json
import os
import shutil
import subprocess
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers
from transformers import AutoModelForSequenceClassification, GPT2Config, GenerationConfig
from transformers import GPT2ForSequenceClassification

HERE = os.path.dirname(os.path.abspath(__file__))
MEMBERS = os.path.join(HERE, "members")
V, PAD = 17, 16
TOKENS = [[1, 5, 9, 3, 14, 2, 7], [4, 16, 8, 11, PAD, PAD, PAD], [13, 0, 6, 6, 10, PAD, PAD]]

OTHER = "somewhere else"
# Values that differ from the defaults. Sizes that tensors have are tried by their second names.
VALUES = {
    "activation_function": ["gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh",
                            "gelu", "gelu_10", "gelu_python", "quick_gelu", "relu", "relu2",
                            "relu6", "silu", "swish", "tanh", "mish", "linear", "sigmoid",
                            "leaky_relu", "hardswish"],
    "n_head": [4], "num_attention_heads": [4], "hidden_size": [12], "num_hidden_layers": [1],
    "max_position_embeddings": [7], "n_ctx": [12], "n_inner": [32], "n_layer": [1], "n_embd": [12],
    "n_positions": [7], "vocab_size": [16], "layer_norm_epsilon": [0.01],
    "attn_pdrop": [0.3], "embd_pdrop": [0.3], "resid_pdrop": [0.3], "initializer_range": [0.5],
    "scale_attn_weights": [False], "scale_attn_by_inverse_layer_idx": [True],
    "reorder_and_upcast_attn": [True], "add_cross_attention": [True],
    "tie_word_embeddings": [False], "is_encoder_decoder": [True], "is_decoder": [True],
    "is_causal": [False, None], "pruned_heads": [{}, {"0": [1]}],
    "per_layer_config": [None, {}, {"0": {"layer_norm_epsilon": 0.01}}],
    "quantization_config": [None, {"quant_method": "gptq", "bits": 4}],
    "pad_token_id": [None, 0, 14, -1], "bos_token_id": [None, 3], "eos_token_id": [None, 3],
    "sep_token_id": [3], "decoder_start_token_id": [3],
    "problem_type": [None, "single_label_classification", "multi_label_classification",
                     "regression"],
    "id2label": [None, {"0": "a", "1": "b"}, {"0": 0, "1": 1}, {"0": "a"}, {"0": "a", "2": "b"}],
    "label2id": [None, {"LABEL_0": 1, "LABEL_1": 0}], "num_labels": [2, 1, 3],
    "architectures": [None, ["GPT2LMHeadModel"], ["GPT2ForSequenceClassification"]],
    "model_type": ["gpt2", "openai-gpt"],
    "dtype": ["float32", "float16", "bfloat16"], "torch_dtype": ["float32", "float16"],
    "use_bfloat16": [True], "chunk_size_feed_forward": [2], "gradient_checkpointing": [True],
    "torchscript": [True], "use_cache": [False], "tf_legacy_loss": [True],
    "attn_implementation": ["eager", "sdpa"], "_attn_implementation": ["eager"],
    "_attn_implementation_autoset": [True], "_attn_implementation_internal": ["eager"],
    "experts_implementation": ["eager"], "_experts_implementation": ["eager"],
    "_experts_implementation_internal": ["eager"],
    "output_attentions": [False], "output_hidden_states": [True], "output_past": [False],
    "return_dict": [True], "tie_last_hidden_states": [True],
    "summary_type": ["last"], "summary_use_proj": [False], "summary_activation": ["tanh"],
    "summary_proj_to_labels": [False], "summary_first_dropout": [0.3],
    "summary_last_dropout": [0.3], "predict_special_tokens": [False],
    "classifier_dropout": [0.3], "hidden_dropout": [0.3], "function_to_apply": ["sigmoid"],
    "cross_attention_hidden_size": [8], "tie_encoder_decoder": [True],
    "transformers_version": ["4.40.0"], "_name_or_path": [OTHER], "name_or_path": [OTHER],
    "_commit_hash": [OTHER], "finetuning_task": ["sst2"], "prefix": [OTHER],
    "tokenizer_class": ["GPT2Tokenizer"],
    "task_specific_params": [{"text-generation": {"do_sample": True, "max_length": 50}}],
    "auto_map": [{"AutoModelForSequenceClassification": "modeling_other.Other"}],
    "custom_pipelines": [{"other": {"impl": "other.Other", "pt": ["AutoModel"]}}],
}
GENERATION = {"do_sample": True, "early_stopping": True, "output_scores": True,
              "return_dict_in_generate": True, "remove_invalid_values": True,
              "bad_words_ids": [[3]], "begin_suppress_tokens": [3], "suppress_tokens": [3],
              "exponential_decay_length_penalty": [5, 1.1],
              "num_assistant_tokens_schedule": "constant"}


def names():
    config = GPT2Config()
    found = {field.name for field in dataclasses.fields(GPT2Config)} | set(config.to_dict())
    found |= set(GPT2Config.attribute_map)
    for name in GenerationConfig._get_default_generation_params():
        VALUES.setdefault(name, [GENERATION.get(name, 3)])
    missing = found - set(VALUES)
    assert not missing, f"no values for {missing}"
    return sorted(VALUES)


def base():
    torch.manual_seed(5)
    config = GPT2Config(vocab_size=V, n_positions=12, n_embd=8, n_layer=2, n_head=2,
                        pad_token_id=PAD, bos_token_id=None, eos_token_id=None)
    model = GPT2ForSequenceClassification(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.4)
    shutil.rmtree(MEMBERS, ignore_errors=True)
    model.save_pretrained(MEMBERS)
    with open(os.path.join(MEMBERS, "config.json"), encoding="utf-8") as file:
        return json.load(file)


def logits_of(config):
    """A list, or None where transformers refuses, or does not answer with one of two classes."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(os.path.join(MEMBERS, "model.safetensors"), folder)
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        try:
            # Floats whatever "dtype" says: it rounds weights, which clm reads as the file has them.
            model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
            rows = []
            for row in TOKENS:
                batch = torch.tensor([row]) if config.get("pad_token_id") is None else None
                if batch is None:
                    continue
                rows.append(model.eval()(input_ids=batch)[0])
            with torch.no_grad():
                out = torch.cat(rows) if rows else model.eval()(input_ids=torch.tensor(TOKENS))
            out = out if torch.is_tensor(out) else out[0]
        except Exception as problem:  # whatever it is
            print("  refused:", type(problem).__name__, str(problem)[:100].replace("\n", " "))
            return None
        if config.get("problem_type") in ("regression", "multi_label_classification"):
            return None  # the same logits, and another answer of the pipeline
        if sorted(model.config.id2label) != list(range(out.shape[1])):
            return None  # a class without a name, which the pipeline fails on
        return out.detach().flatten().tolist() if out.shape[1] == 2 else None


def text(value):
    return json.dumps(json.dumps(value))


def main():
    config = base()
    wanted = logits_of(config)
    distinct, rows = [wanted], []
    for name in names():
        for value in VALUES[name]:
            print(name, json.dumps(value))
            got = logits_of({**config, name: value})
            at = -1
            if got is not None:
                close = [i for i, known in enumerate(distinct)
                         if max(abs(a - b) for a, b in zip(got, known)) <= 2e-5]
                at = close[0] if close else len(distinct)
                if not close:
                    distinct.append(got)
            rows.append(f'    {{"{name}", {text(value)}, {at}}},')
    lines = [f"/* Made by make_config_members.py with transformers {transformers.__version__}.",
             " *",
             " * SPDX-License-Identifier: Apache-2.0 */",
             "#ifndef CLM_CONFIG_MEMBERS_GOLDEN_H", "#define CLM_CONFIG_MEMBERS_GOLDEN_H", "",
             "#include <stdint.h>", "",
             f"enum {{ GOLDEN_B = {len(TOKENS)}, GOLDEN_T = {len(TOKENS[0])} }};", "",
             "static const int32_t golden_tokens[GOLDEN_B * GOLDEN_T] = {",
             "    " + ", ".join(str(token) for row in TOKENS for token in row) + "};", "",
             "/* The members of the config as transformers saved it. */",
             "static const struct golden_member {", "    const char *name, *value;",
             "} golden_base[] = {"]
    lines += [f'    {{"{name}", {text(value)}}},' for name, value in config.items()]
    lines += ["};", "", "/* What comes of one member with another value: an index of golden_logits,"
              " of which 0 is the", " * base's, or -1 for no answer with one of two classes. */",
              "static const struct golden_row {", "    const char *name, *value;",
              "    int logits;", "} golden_rows[] = {"] + rows + ["};", ""]
    lines += ["static const float golden_logits[][GOLDEN_B * 2] = {"]
    lines += ["    {" + ", ".join(f"{value:.9g}F" for value in each) + "}," for each in distinct]
    lines += ["};", "#endif", ""]
    path = os.path.join(HERE, "config_members.h")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
    subprocess.run(["clang-format", "-i", path], check=True)


if __name__ == "__main__":
    main()
