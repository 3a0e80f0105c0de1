/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/catalog.h"

#include "clm/fetch.h"

/* Revisions are pinned, so that a checksum stays true and a run can be repeated. Of gpt2-medium and
 * gpt2-large clm knows no checksum for certain; the hub states one for each large file. */
#define HUB(model, revision, file) \
    "https://huggingface.co/openai-community/" model "/resolve/" revision "/" file

#define SMALL "607a30d783dfa663caf39e06633721c8d4cfcd7e"
#define MEDIUM "6dcaa7a952f72f9298047fd5137cd6e4f05f41da"
#define LARGE "32b71b12589c2f8d625668d2335a01cac3249519"
#define XL "15ea56dee5df4983c59b2538573817e1667135e2"

#define MIB ((uint64_t)1 << 20)

/* A file whose size is not recorded here; `most` limits it. */
#define UNKNOWN(model, revision, file, most) \
    { .name = (file), .url = HUB(model, revision, file), .most_bytes = (most) }

static const clm_fetch_item items[] = {
    {.name = "gpt2",
     .about = "GPT-2, 124M parameters, 0.55 GB (OpenAI, MIT licence)",
     .file_count = 4,
     .files =
         {
             {.name = "config.json",
              .url = HUB("gpt2", SMALL, "config.json"),
              .size_bytes = 665,
              .sha256 = "0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4"},
             {.name = "vocab.json",
              .url = HUB("gpt2", SMALL, "vocab.json"),
              .size_bytes = 1042301,
              .sha256 = "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"},
             {.name = "merges.txt",
              .url = HUB("gpt2", SMALL, "merges.txt"),
              .size_bytes = 456318,
              .sha256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"},
             {.name = "model.safetensors",
              .url = HUB("gpt2", SMALL, "model.safetensors"),
              .size_bytes = 548105171,
              .sha256 = "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707"},
         }},
    {.name = "gpt2-medium",
     .about = "GPT-2, 355M parameters, 1.5 GB (OpenAI, MIT licence)",
     .file_count = 4,
     .files = {UNKNOWN("gpt2-medium", MEDIUM, "config.json", MIB),
               UNKNOWN("gpt2-medium", MEDIUM, "vocab.json", 4 * MIB),
               UNKNOWN("gpt2-medium", MEDIUM, "merges.txt", 4 * MIB),
               UNKNOWN("gpt2-medium", MEDIUM, "model.safetensors", 2048 * MIB)}},
    {.name = "gpt2-large",
     .about = "GPT-2, 774M parameters, 3.2 GB (OpenAI, MIT licence)",
     .file_count = 4,
     .files = {UNKNOWN("gpt2-large", LARGE, "config.json", MIB),
               UNKNOWN("gpt2-large", LARGE, "vocab.json", 4 * MIB),
               UNKNOWN("gpt2-large", LARGE, "merges.txt", 4 * MIB),
               UNKNOWN("gpt2-large", LARGE, "model.safetensors", 4096 * MIB)}},
    {.name = "gpt2-xl",
     .about = "GPT-2, 1558M parameters, 6.4 GB (OpenAI, MIT licence)",
     .file_count = 4,
     .files = {UNKNOWN("gpt2-xl", XL, "config.json", MIB),
               UNKNOWN("gpt2-xl", XL, "vocab.json", 4 * MIB),
               UNKNOWN("gpt2-xl", XL, "merges.txt", 4 * MIB),
               {.name = "model.safetensors",
                .url = HUB("gpt2-xl", XL, "model.safetensors"),
                .most_bytes = 8192 * MIB,
                .sha256 = "0f8b28eb05a8075f48b61b6f35332978c74fc7763fa9fb4051a1c30511736a6a"}}},
    {.name = "sms-spam",
     .about = "5,574 text messages, ham or spam (UCI data set 228, Almeida and Hidalgo, CC BY 4.0)",
     .file_count = 1,
     .files = {{.name = "sms+spam+collection.zip",
                .url = "https://archive.ics.uci.edu/static/public/228/sms+spam+collection.zip",
                .most_bytes = MIB,
                .sha256 = "1587ea43e58e82b14ff1f5425c88e17f8496bfcdb67a583dbff9eefaf9963ce3",
                .member = "SMSSpamCollection",
                .member_bytes = 477907,
                .member_sha256 =
                    "7d039a24a6083ed9ef0f806ebad56bbb976e3aeb8de05669173bfdc4996c239d"}}},
    {.name = "the-verdict",
     .about = "Edith Wharton, The Verdict, 1908 (public domain), as LLMs-from-scratch has it",
     .file_count = 1,
     .files = {{.name = "the-verdict.txt",
                .url = "https://raw.githubusercontent.com/rasbt/LLMs-from-scratch/main/ch02/"
                       "01_main-chapter-code/the-verdict.txt",
                .size_bytes = 20479,
                .sha256 = "b41e41a68f0398a3154ae69e2e4c0e2694e17fe0d66730536837f1b01935b31f"}}},
};

const clm_fetch_item *clm_fetch_item_at(size_t index) {
    return index < sizeof items / sizeof *items ? &items[index] : NULL;
}

const char *clm_fetch_name(size_t index) {
    const clm_fetch_item *item = clm_fetch_item_at(index);
    return item != NULL ? item->name : NULL;
}

const char *clm_fetch_about(size_t index) {
    const clm_fetch_item *item = clm_fetch_item_at(index);
    return item != NULL ? item->about : NULL;
}
