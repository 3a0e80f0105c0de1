/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_command.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "clm/progress.h"
#include "fetch/fetch.h"
#include "fetch/http_server.h"
#include "fetch/sha256.h"
#include "fetch/unzip.h"

enum { body_bytes = 300000 };

static unsigned char body[body_bytes];
static char body_sha256[CLM_SHA256_TEXT];
static served_file served[2];
static http_server *server;
static char mirror[64];
static clm_fetch_item item;

/* Each test has a folder of its own, and a server and item as they are when all is well. */
static const char *begin(const char *folder) {
    served[0] = (served_file){
        .path = "/m/thing/file.bin", .body = body, .size_bytes = body_bytes, .etag = "\"one\""};
    served[1] =
        (served_file){.path = "/other/thing/file.bin", .body = body, .size_bytes = body_bytes};
    item = (clm_fetch_item){
        .name = "thing",
        .about = "a test",
        .file_count = 1,
        .files = {
            {.name = "file.bin", .url = "http://127.0.0.1:1/upstream", .sha256 = body_sha256}}};
    http_server_forget(server);
    return clm_test_path(folder);
}

static clm_fetch_options options_for(const char *folder) {
    clm_fetch_options options = CLM_FETCH_OPTIONS_DEFAULT;
    options.folder = folder;
    options.mirrors = mirror;
    options.attempts = 3;
    options.wait_s = 0.01;
    return options;
}

static clm_status get(const char *folder) {
    clm_fetched *fetched = NULL;
    const clm_fetch_options options = options_for(folder);
    clm_status status = clm_fetch_item_get(&fetched, &item, &options);
    clm_fetched_free(fetched);
    return status;
}

static const char *in(const char *folder, const char *name) {
    static char path[4][1200];
    static unsigned turn;
    char *next = path[turn++ % 4];
    (void)snprintf(next, sizeof path[0], "%s/%s", folder, name);
    return next;
}

static void assert_body(const char *path) {
    char *text = NULL;
    size_t size_bytes = 0;
    assert_ok(clm_file_read(path, CLM_FILE_TEXT, &text, &size_bytes));
    assert_int_equal(size_bytes, body_bytes);
    assert_memory_equal(text, body, body_bytes);
    clm_free(text);
}

static void a_file_is_fetched_once(void **state) {
    (void)state;
    char folder[1024];
    (void)snprintf(folder, sizeof folder, "%s", begin("once/deep"));
    clm_fetched *fetched = NULL;
    const clm_fetch_options options = options_for(folder);
    assert_ok(clm_fetch_item_get(&fetched, &item, &options));
    assert_string_equal(clm_fetched_folder(fetched), folder);
    assert_int_equal(clm_fetched_count(fetched), 1);
    assert_string_equal(clm_fetched_path(fetched, 0), in(folder, "file.bin"));
    assert_string_equal(clm_fetched_sha256(fetched, 0), body_sha256);
    assert_int_equal(clm_fetched_trust(fetched, 0), CLM_FETCH_VERIFIED);
    assert_true(clm_fetched_is_new(fetched, 0));
    clm_fetched_free(fetched);
    assert_body(in(folder, "file.bin"));
    assert_false(clm_file_exists(in(folder, "file.bin.part")));
    assert_false(clm_file_exists(in(folder, "file.bin.part.etag")));
    assert_int_equal(http_server_request_count(server), 1);
    assert_ok(clm_fetch_item_get(&fetched, &item, &options));
    assert_false(clm_fetched_is_new(fetched, 0));
    clm_fetched_free(fetched);
    assert_int_equal(http_server_request_count(server), 1);
}

static void a_broken_connection_is_resumed(void **state) {
    (void)state;
    char folder[1024];
    (void)snprintf(folder, sizeof folder, "%s", begin("broken"));
    served[0].failures = 1;
    served[0].breaks = 1;
    served[0].break_after_bytes = 100000;
    assert_ok(get(folder));
    assert_body(in(folder, "file.bin"));
    assert_int_equal(http_server_request_count(server), 3);
    assert_int_equal(http_server_request(server, 1)->range_at, -1);
    assert_int_equal(http_server_request(server, 2)->range_at, 100000);
    assert_string_equal(http_server_request(server, 2)->if_range, "\"one\"");
}

static void a_later_call_resumes(void **state) {
    (void)state;
    char folder[1024];
    (void)snprintf(folder, sizeof folder, "%s", begin("later"));
    item.files[0].sha256 = NULL; /* the ETag alone must do */
    served[0].breaks = 3;
    served[0].break_after_bytes = 50000;
    assert_status(CLM_ERROR_NETWORK, get(folder));
    assert_false(clm_file_exists(in(folder, "file.bin")));
    assert_int_equal(http_server_request_count(server), 3);
    assert_ok(get(folder));
    assert_int_equal(http_server_request(server, 3)->range_at, 150000);
    assert_body(in(folder, "file.bin"));
}

/* The server has another file by now: it says so by answering with the whole of it. */
static void a_changed_file_is_fetched_again(void **state) {
    (void)state;
    static unsigned char older[body_bytes];
    char folder[1024];
    (void)snprintf(folder, sizeof folder, "%s", begin("changed"));
    item.files[0].sha256 = NULL;
    served[0].body = older;
    served[0].etag = "\"zero\"";
    served[0].breaks = 3;
    served[0].break_after_bytes = 50000;
    assert_status(CLM_ERROR_NETWORK, get(folder));
    served[0].body = body;
    served[0].etag = "\"one\"";
    assert_ok(get(folder));
    assert_int_equal(http_server_request(server, 3)->range_at, 150000);
    assert_string_equal(http_server_request(server, 3)->if_range, "\"zero\"");
    assert_body(in(folder, "file.bin"));
}

static void a_part_without_a_tag_is_not_trusted(void **state) {
    (void)state;
    char folder[1024];
    (void)snprintf(folder, sizeof folder, "%s", begin("untagged"));
    assert_ok(clm_folder_make(folder));
    clm_test_write(in(folder, "file.bin.part"), "wrong", 5);
    item.files[0].sha256 = NULL;
    assert_ok(get(folder));
    assert_int_equal(http_server_request(server, 0)->range_at, -1);
    assert_body(in(folder, "file.bin"));
    /* With a checksum it is gone on from; that it was wrong shows at the end, and all is well. */
    (void)snprintf(folder, sizeof folder, "%s", begin("untagged2"));
    assert_ok(clm_folder_make(folder));
    clm_test_write(in(folder, "file.bin.part"), "wrong", 5);
    assert_ok(get(folder));
    assert_int_equal(http_server_request_count(server), 2);
    assert_int_equal(http_server_request(server, 0)->range_at, 5);
    assert_int_equal(http_server_request(server, 1)->range_at, -1);
    assert_body(in(folder, "file.bin"));
}

static void odd_answers_to_a_range_are_survived(void **state) {
    (void)state;
    char folder[1024];
    (void)snprintf(folder, sizeof folder, "%s", begin("shifted"));
    served[0].shifts_ranges = true;
    served[0].breaks = 1;
    served[0].break_after_bytes = 70000;
    assert_ok(get(folder));
    assert_body(in(folder, "file.bin"));
    (void)snprintf(folder, sizeof folder, "%s", begin("ignored"));
    served[0].ignores_ranges = true;
    served[0].breaks = 1;
    served[0].break_after_bytes = 70000;
    assert_ok(get(folder));
    assert_body(in(folder, "file.bin"));
    /* The part is whole already: 416, and nothing was missing. */
    (void)snprintf(folder, sizeof folder, "%s", begin("whole"));
    assert_ok(clm_folder_make(folder));
    clm_test_write(in(folder, "file.bin.part"), body, body_bytes);
    assert_ok(get(folder));
    assert_int_equal(http_server_request(server, 0)->range_at, body_bytes);
    assert_body(in(folder, "file.bin"));
    /* The part is longer than the file. */
    static unsigned char longer[body_bytes + 10];
    (void)snprintf(folder, sizeof folder, "%s", begin("longer"));
    assert_ok(clm_folder_make(folder));
    clm_test_write(in(folder, "file.bin.part"), longer, sizeof longer);
    assert_ok(get(folder));
    assert_body(in(folder, "file.bin"));
    /* The size is known and the part has it: no request at all. */
    (void)snprintf(folder, sizeof folder, "%s", begin("known"));
    item.files[0].size_bytes = body_bytes;
    assert_ok(clm_folder_make(folder));
    clm_test_write(in(folder, "file.bin.part"), body, body_bytes);
    assert_ok(get(folder));
    assert_int_equal(http_server_request_count(server), 0);
    assert_body(in(folder, "file.bin"));
}

static void corrupt_content_is_kept_aside(void **state) {
    (void)state;
    static unsigned char wrong[body_bytes];
    char folder[1024];
    (void)snprintf(folder, sizeof folder, "%s", begin("corrupt"));
    served[0].body = wrong;
    assert_status(CLM_ERROR_CHECKSUM, get(folder));
    assert_message_has(body_sha256);
    assert_message_has("file.bin.corrupt");
    assert_int_equal(http_server_request_count(server), 1);
    assert_false(clm_file_exists(in(folder, "file.bin")));
    assert_false(clm_file_exists(in(folder, "file.bin.part")));
    assert_true(clm_file_exists(in(folder, "file.bin.corrupt")));
    served[0].body = body;
    assert_ok(get(folder));
    assert_body(in(folder, "file.bin"));
    assert_false(clm_file_exists(in(folder, "file.bin.corrupt")));
    (void)snprintf(folder, sizeof folder, "%s", begin("overlong"));
    item.files[0].size_bytes = 1000;
    assert_status(CLM_ERROR_CHECKSUM, get(folder));
    assert_message_has("more than the 1000 bytes");
    assert_false(clm_file_exists(in(folder, "file.bin")));
}

static void another_file_is_not_overwritten(void **state) {
    (void)state;
    char folder[1024];
    (void)snprintf(folder, sizeof folder, "%s", begin("mine"));
    assert_ok(clm_folder_make(folder));
    clm_test_write(in(folder, "file.bin"), "mine", 4);
    assert_status(CLM_ERROR_EXISTS, get(folder));
    assert_message_has("move it away");
    assert_int_equal(http_server_request_count(server), 0);
    (void)snprintf(folder, sizeof folder, "%s", begin("locked"));
    assert_ok(clm_folder_make(folder));
    int descriptor = open(in(folder, "file.bin.part"), O_RDWR | O_CREAT, 0666);
    assert_int_equal(flock(descriptor, LOCK_EX | LOCK_NB), 0);
    assert_status(CLM_ERROR_EXISTS, get(folder));
    assert_message_has("another clm");
    (void)close(descriptor);
    assert_ok(get(folder));
}

static void mirrors_are_tried_in_turn(void **state) {
    (void)state;
    char mirrors[256];
    char folder[1024];
    clm_fetched *fetched = NULL;
    (void)snprintf(folder, sizeof folder, "%s", begin("turn"));
    (void)snprintf(mirrors, sizeof mirrors,
                   "  http://127.0.0.1:%d/none/ http://127.0.0.1:%d/other/  ",
                   http_server_port(server), http_server_port(server));
    clm_fetch_options options = options_for(folder);
    options.mirrors = mirrors;
    assert_ok(clm_fetch_item_get(&fetched, &item, &options));
    clm_fetched_free(fetched);
    assert_string_equal(http_server_request(server, 0)->path, "/none/thing/file.bin");
    assert_string_equal(http_server_request(server, 1)->path, "/other/thing/file.bin");
    assert_int_equal(http_server_request_count(server), 2);
    /* From the environment. */
    (void)snprintf(folder, sizeof folder, "%s", begin("environment"));
    options = options_for(folder);
    options.mirrors = NULL;
    assert_int_equal(setenv("CLM_FETCH_MIRROR", mirror, 1), 0);
    assert_ok(clm_fetch_item_get(&fetched, &item, &options));
    clm_fetched_free(fetched);
    assert_int_equal(unsetenv("CLM_FETCH_MIRROR"), 0);
    assert_body(in(folder, "file.bin"));
}

/* Port 1 of this machine, where nobody listens, stands for the network that is not there. */
static void without_a_network_the_error_says_what_to_do(void **state) {
    (void)state;
    char folder[1024];
    clm_fetched *fetched = NULL;
    (void)snprintf(folder, sizeof folder, "%s", begin("offline"));
    clm_fetch_options options = options_for(folder);
    options.mirrors = "";
    assert_status(CLM_ERROR_NETWORK, clm_fetch_item_get(&fetched, &item, &options));
    assert_message_has("http://127.0.0.1:1/upstream");
    assert_message_has(in(folder, "file.bin"));
    assert_message_has("CLM_FETCH_MIRROR");
    assert_message_has("thing/file.bin");
    assert_null(fetched);
    served[0].path = "/moved";
    assert_status(CLM_ERROR_NETWORK, get(folder));
    assert_message_has("404, not found");
    assert_int_equal(http_server_request_count(server), 1);
    /* Put there by hand. */
    clm_test_write(in(folder, "file.bin"), body, body_bytes);
    assert_ok(get(folder));
    options.mirrors = "ftp://127.0.0.1/x";
    (void)unlink(in(folder, "file.bin"));
    assert_status(CLM_ERROR_NETWORK, clm_fetch_item_get(&fetched, &item, &options));
    assert_message_has("ftp");
}

static void the_stated_checksum_is_compared(void **state) {
    (void)state;
    char folder[1024];
    char location[128];
    char stated[80];
    clm_fetched *fetched = NULL;
    (void)snprintf(folder, sizeof folder, "%s", begin("stated"));
    (void)snprintf(location, sizeof location, "http://127.0.0.1:%d/other/thing/file.bin",
                   http_server_port(server));
    (void)snprintf(stated, sizeof stated, "\"%s\"", body_sha256);
    served[0].redirect = location;
    served[0].linked_etag = stated;
    item.files[0].sha256 = NULL;
    const clm_fetch_options options = options_for(folder);
    assert_ok(clm_fetch_item_get(&fetched, &item, &options));
    assert_int_equal(clm_fetched_trust(fetched, 0), CLM_FETCH_STATED);
    clm_fetched_free(fetched);
    assert_ok(clm_fetch_item_get(&fetched, &item, &options));
    assert_int_equal(clm_fetched_trust(fetched, 0), CLM_FETCH_UNVERIFIED);
    clm_fetched_free(fetched);
    (void)unlink(in(folder, "file.bin"));
    stated[1] = stated[1] == '0' ? '1' : '0';
    assert_status(CLM_ERROR_CHECKSUM, get(folder));
    assert_false(clm_file_exists(in(folder, "file.bin")));
}

typedef struct seen {
    int64_t stop_at;
    int64_t done, most, total;
} seen;

static void watch(void *context, const clm_progress *progress) {
    seen *s = context;
    assert_string_equal(progress->stage, "downloading");
    assert_string_equal(progress->unit, "bytes");
    assert_string_equal(progress->detail, "file.bin");
    s->done = progress->done;
    s->most = s->done > s->most ? s->done : s->most;
    s->total = progress->total > s->total ? progress->total : s->total;
}

static bool has_enough(void *context) {
    const seen *s = context;
    return s->done >= s->stop_at;
}

static void a_stop_keeps_what_has_come(void **state) {
    (void)state;
    char folder[1024];
    clm_fetched *fetched = NULL;
    seen s = {.stop_at = 1};
    (void)snprintf(folder, sizeof folder, "%s", begin("stopped"));
    const clm_fetch_options options = options_for(folder);
    clm_watch(&(clm_watcher){.on_progress = watch, .should_stop = has_enough, .context = &s});
    assert_status(CLM_ERROR_INTERRUPTED, clm_fetch_item_get(&fetched, &item, &options));
    assert_message_has("resumes there");
    assert_true(clm_file_exists(in(folder, "file.bin.part")));
    s = (seen){.stop_at = INT64_MAX};
    assert_ok(clm_fetch_item_get(&fetched, &item, &options));
    clm_fetched_free(fetched);
    clm_watch(NULL);
    assert_int_equal(s.most, body_bytes);
    assert_int_equal(s.total, body_bytes);
    assert_true(http_server_request(server, 1)->range_at > 0);
    assert_body(in(folder, "file.bin"));
}

/* The command, from a mirror that has another file of that name. */
static void a_terminal_shows_how_much_has_come(void **state) {
    (void)state;
    char setting[128];
    (void)begin("watched");
    served[0].path = "/m/the-verdict/the-verdict.txt";
    served[0].size_bytes = 20479;
    (void)snprintf(setting, sizeof setting, "CLM_FETCH_MIRROR=%s", mirror);
    clm_test_surroundings around = {.at_terminal = true, .environment = {setting}};
    clm_test_outcome outcome = run_clm_in(&around, "fetch", "the-verdict", "--to", "watched");
    assert_int_equal(outcome.status, 7);
    assert_has(outcome.output, "\r\033[Kdownloading: ");
    assert_has(outcome.output, " of 0.0 MB; the-verdict.txt");
    assert_has(outcome.output, "\r\033[Kclm: http://127.0.0.1:");
    around.at_terminal = false;
    outcome = run_clm_in(&around, "fetch", "the-verdict", "--to", "watched");
    assert_fails(outcome, 7, "SHA-256");
}

static void a_write_that_fails_is_named(void **state) {
    (void)state;
    char folder[1024];
    struct rlimit before;
    (void)snprintf(folder, sizeof folder, "%s", begin("full"));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit little = {.rlim_cur = 100000, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    const clm_status status = get(folder);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    assert_true(status == CLM_ERROR_IO || status == CLM_ERROR_NO_SPACE);
    assert_message_has("file.bin.part: cannot be written");
    assert_false(clm_file_exists(in(folder, "file.bin")));
}

/* In a folder that others may write to, a link could lead to any file of the user's. */
static void a_part_is_not_followed_elsewhere(void **state) {
    (void)state;
    char folder[1024];
    char *text = NULL;
    size_t size_bytes = 0;
    (void)snprintf(folder, sizeof folder, "%s", begin("linked"));
    assert_ok(clm_folder_make(folder));
    clm_test_write(in(folder, "precious"), "precious", 8);
    assert_int_equal(symlink(in(folder, "precious"), in(folder, "file.bin.part")), 0);
    assert_true(get(folder) != CLM_OK);
    assert_message_has("symbolic link");
    assert_ok(clm_file_read(in(folder, "precious"), CLM_FILE_TEXT, &text, &size_bytes));
    assert_string_equal(text, "precious");
    clm_free(text);
    assert_int_equal(unlink(in(folder, "file.bin.part")), 0);
    assert_int_equal(mkfifo(in(folder, "file.bin.part"), 0600), 0);
    assert_status(CLM_ERROR_EXISTS, get(folder));
    assert_message_has("not a regular file");
}

static void write_zip(const char *path, const char *member, const void *bytes, size_t size_bytes) {
    struct archive *zip = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    assert_int_equal(archive_write_set_format_zip(zip), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(zip, path), ARCHIVE_OK);
    for (int i = 0; i < 2; i++) { /* a readme, as the real archive has, and the member */
        archive_entry_clear(entry);
        archive_entry_set_pathname(entry, i == 0 ? "readme" : member);
        archive_entry_set_size(entry, i == 0 ? 2 : (la_int64_t)size_bytes);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        assert_int_equal(archive_write_header(zip, entry), ARCHIVE_OK);
        assert_true(archive_write_data(zip, i == 0 ? "hi" : bytes, i == 0 ? 2 : size_bytes) > 0);
    }
    assert_int_equal(archive_write_close(zip), ARCHIVE_OK);
    archive_entry_free(entry);
    archive_write_free(zip);
}

static void an_archive_is_unpacked(void **state) {
    (void)state;
    char folder[1024];
    char zip[1024];
    char zip_sha256[CLM_SHA256_TEXT];
    char *bytes = NULL;
    size_t size_bytes = 0;
    (void)snprintf(folder, sizeof folder, "%s", begin("zipped"));
    (void)snprintf(zip, sizeof zip, "%s", clm_test_path("made.zip"));
    write_zip(zip, "inside", body, body_bytes);
    assert_ok(clm_sha256_file(zip_sha256, zip));
    assert_ok(clm_file_read(zip, CLM_FILE_TEXT, &bytes, &size_bytes));
    served[0].path = "/m/thing/a+b.zip";
    served[0].body = (unsigned char *)bytes;
    served[0].size_bytes = size_bytes;
    item.files[0] = (clm_fetch_file){.name = "a+b.zip",
                                     .url = "http://127.0.0.1:1/upstream",
                                     .sha256 = zip_sha256,
                                     .member = "inside",
                                     .member_bytes = body_bytes,
                                     .member_sha256 = body_sha256};
    assert_ok(get(folder));
    assert_body(in(folder, "inside"));
    assert_false(clm_file_exists(in(folder, "a+b.zip")));
    assert_ok(get(folder));
    assert_int_equal(http_server_request_count(server), 1);
    /* The member is another than it should be. */
    (void)unlink(in(folder, "inside"));
    item.files[0].member_sha256 = zip_sha256;
    assert_status(CLM_ERROR_CHECKSUM, get(folder));
    assert_message_has("\"inside\" in it");
    assert_false(clm_file_exists(in(folder, "inside")));
    item.files[0].member = "other";
    assert_status(CLM_ERROR_FORMAT, get(folder));
    assert_message_has("has no file \"other\"");
    /* One of another size is not unpacked beyond what is expected. */
    assert_status(CLM_ERROR_FORMAT, clm_unzip(zip, "inside", 1000, in(folder, "bomb")));
    assert_message_has("1000 bytes");
    assert_false(clm_file_exists(in(folder, "bomb")));
    assert_status(CLM_ERROR_FORMAT, clm_unzip(zip, "inside", body_bytes + 1, in(folder, "bomb")));
    assert_false(clm_file_exists(in(folder, "bomb")));
    /* Every cut archive is refused, and nothing appears. */
    for (size_t cut = 0; cut < size_bytes; cut += 1021) {
        clm_test_write(zip, bytes, cut);
        clm_status status = clm_unzip(zip, "inside", body_bytes, in(folder, "cut"));
        if (status == CLM_OK) { /* only the archive's directory is cut off */
            assert_body(in(folder, "cut"));
            (void)unlink(in(folder, "cut"));
        }
        assert_false(clm_file_exists(in(folder, "cut")));
    }
    clm_free(bytes);
}

/* The real files, served from this machine under the catalog's own names and checksums. */
static void the_real_files_pass(void **state) {
    (void)state;
    char folder[1024];
    char *sms = NULL;
    char *verdict = NULL;
    size_t verdict_bytes = 0;
    size_t sms_bytes = 0;
    clm_fetched *fetched = NULL;
    const char *path = clm_test_shared_data("text/the-verdict.txt");
    if (path == NULL) {
        skip();
    }
    assert_ok(clm_file_read(path, CLM_FILE_TEXT, &verdict, &verdict_bytes));
    (void)snprintf(folder, sizeof folder, "%s", begin("real"));
    served[0] = (served_file){.path = "/m/the-verdict/the-verdict.txt",
                              .body = (unsigned char *)verdict,
                              .size_bytes = verdict_bytes};
    const clm_fetch_options options = options_for(folder);
    assert_ok(clm_fetch(&fetched, "the-verdict", &options));
    assert_int_equal(clm_fetched_trust(fetched, 0), CLM_FETCH_VERIFIED);
    clm_fetched_free(fetched);
    /* The collection, put by hand where the error says. */
    assert_ok(clm_file_read(clm_test_shared_data("sms/SMSSpamCollection"), CLM_FILE_TEXT, &sms,
                            &sms_bytes));
    assert_status(CLM_ERROR_NETWORK, clm_fetch(&fetched, "sms-spam", &options));
    assert_message_has(in(folder, "SMSSpamCollection"));
    clm_test_write(in(folder, "SMSSpamCollection"), sms, sms_bytes);
    assert_ok(clm_fetch(&fetched, "sms-spam", &options));
    assert_int_equal(clm_fetched_trust(fetched, 0), CLM_FETCH_VERIFIED);
    clm_fetched_free(fetched);
    clm_free(sms);
    clm_free(verdict);
}

static int start(void **state) {
    (void)state;
    for (size_t i = 0; i < body_bytes; i++) {
        body[i] = (unsigned char)(clm_test_random() >> 24);
    }
    const char *path = clm_test_path("body");
    clm_test_write(path, body, body_bytes);
    if (clm_sha256_file(body_sha256, path) != CLM_OK) {
        return -1;
    }
    server = http_server_start(served, sizeof served / sizeof *served);
    (void)snprintf(mirror, sizeof mirror, "http://127.0.0.1:%d/m", http_server_port(server));
    return 0;
}

static int stop(void **state) {
    (void)state;
    http_server_stop(server);
    return 0;
}

static void sha256_is_sha256(void **state) {
    (void)state;
    char text[CLM_SHA256_TEXT];
    const char *path = clm_test_path("abc");
    clm_test_write(path, "abc", 3);
    assert_ok(clm_sha256_file(text, path));
    /* FIPS 180-4's own example. */
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_status(CLM_ERROR_NOT_FOUND, clm_sha256_file(text, clm_test_path("nowhere")));
    assert_status(CLM_ERROR_IO, clm_sha256_file(text, clm_test_folder()));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_is_sha256),
        cmocka_unit_test(a_file_is_fetched_once),
        cmocka_unit_test(a_broken_connection_is_resumed),
        cmocka_unit_test(a_later_call_resumes),
        cmocka_unit_test(a_changed_file_is_fetched_again),
        cmocka_unit_test(a_part_without_a_tag_is_not_trusted),
        cmocka_unit_test(odd_answers_to_a_range_are_survived),
        cmocka_unit_test(corrupt_content_is_kept_aside),
        cmocka_unit_test(another_file_is_not_overwritten),
        cmocka_unit_test(mirrors_are_tried_in_turn),
        cmocka_unit_test(without_a_network_the_error_says_what_to_do),
        cmocka_unit_test(the_stated_checksum_is_compared),
        cmocka_unit_test(a_stop_keeps_what_has_come),
        cmocka_unit_test(a_terminal_shows_how_much_has_come),
        cmocka_unit_test(a_write_that_fails_is_named),
        cmocka_unit_test(a_part_is_not_followed_elsewhere),
        cmocka_unit_test(an_archive_is_unpacked),
        cmocka_unit_test(the_real_files_pass),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
