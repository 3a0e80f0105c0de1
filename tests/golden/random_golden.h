/* Made by make_random.py with NumPy 2.4.6 and PyTorch 2.15.0; do not edit.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
static const int64_t golden_numpy_permutation[20] = {
    14, 5, 4, 17, 8, 7, 19, 12, 0, 15, 16, 9, 11, 10, 3, 1, 6, 18, 2, 13,
};
/* seed, count, hash of RandomState(seed).permutation(count) */
static const struct {
    uint32_t seed;
    uint32_t count;
    uint64_t hash;
} golden_numpy_hashes[] = {
    {123U, 0, 0xCBF29CE484222325U},
    {123U, 1, 0x4D25767F9DCE13F5U},
    {123U, 2, 0x89CD31291D2AEFA4U},
    {123U, 4825, 0x2788ED4859EF04CBU},
    {123U, 1494, 0x885B9661FED429E0U},
    {0U, 1000, 0x6B45A68D3930C79DU},
    {4294967295U, 65537, 0xF221041D5D836088U},
};
static const int64_t golden_torch_int64[8] = {
    3624216819017203053, 5278339153051796802, 4184670734919783522, 946590342492863505,
    4048487933969823850, 7804936597957240377, 8868534167180302049, 3409506807702804593,
};
static const int32_t golden_torch_permutation[20] = {
    2, 9, 14, 15, 16, 7, 8, 5, 19, 0, 11, 18, 10, 17, 12, 6, 1, 13, 3, 4,
};
/* seed, count, hash of randperm(count), and the int64 that is drawn next */
static const struct {
    uint64_t seed;
    uint32_t count;
    uint64_t hash;
    int64_t next;
} golden_torch_hashes[] = {
    {123U, 0, 0xCBF29CE484222325U,
     3624216819017203053},
    {123U, 1, 0x4D25767F9DCE13F5U,
     3624216819017203053},
    {123U, 2, 0x08CD4C29D1E47D34U,
     3928332314563603838},
    {123U, 1045, 0xDC052F8B79AFF73DU,
     9084623624127954277},
    {3624216819017203053U, 1045, 0x496C833D1FDC645DU,
     1821325733519839738},
    {0U, 70000, 0x6DB3525706CF3C2DU,
     15832726023811509},
};
static const uint32_t golden_torch_uniform[12] = {
    0xBD054758U, 0xBE4D69ACU, 0x3CF287F0U, 0x3CE905C0U, 0xBE3C06AEU, 0xBDB3231CU, 0xBE492C06U,
    0x3C7399A0U, 0xBDF050F8U, 0x3E00A63EU, 0x3E0287E8U, 0xBCC8F830U,
};
static const uint32_t golden_linear_weight[10] = {
    0xBE3ABD5FU, 0x3C72B566U, 0xBE637173U, 0x3E2CB2ABU, 0xBEC31911U, 0x3EA7D8F7U, 0xBEA66D53U,
    0xBEB60B1DU, 0xBE90AF70U, 0x3E4F66AEU,
};
static const uint32_t golden_linear_bias[2] = {
    0xBE29352EU, 0x3E2B5EA9U,
};
/* out, in, hash of weight, hash of bias of torch.nn.Linear(in, out) after
 * manual_seed(123) */
static const struct {
    int out;
    int in;
    uint64_t weight;
    uint64_t bias;
} golden_linear_hashes[] = {
    {2, 768, 0x41F010F70D1EE4EEU,
     0xCC194D8E7A36ACFEU},
    {2, 64, 0xD883095FF5E94598U,
     0xD90314FFFC2C8CE8U},
    {7, 1600, 0x9C4507F3E9A4DB0BU,
     0x1F8FA0BC78FC3610U},
    {1, 1, 0xBC0300C3B0322F5BU,
     0x708CD79CA11F387AU},
    {3, 12, 0xBA04265F1BAF6483U,
     0xEB3AC99DF3529543U},
};
