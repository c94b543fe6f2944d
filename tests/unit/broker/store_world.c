#include "broker/store_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/store/file_io.h"
#include "broker/wipe.h"

static char folder[64];

void world_folder_begin(void)
{
    snprintf(folder, sizeof(folder), "/tmp/bearerd-store-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

const char *world_path(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

int world_folder_end(void)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] != '.')
            unlink(world_path(entry->d_name));
    }
    if (dir)
        closedir(dir);
    return rmdir(folder);
}

/* --- the world ------------------------------------------------------------------ */

static void on_changed(void *owner)
{
    struct world *world = owner;

    world->changes++;
    if (world->until_changed)
        loop_stop(&world->loop);
}

bool world_try_open(struct world *world, const char *location, const char *key_file, bool watched,
                    struct reason *why)
{
    struct store_options options = {key_file, &world->mailbox, watched ? on_changed : NULL, world};

    memset(world, 0, sizeof(*world));
    world->conf = conf_default();
    assert_true(loop_init(&world->loop, why) && mailbox_init(&world->mailbox, &world->loop, why));
    world->store = store_open(location, &options, why);
    if (world->store)
        return true;
    world_close(world);
    return false;
}

void world_open(struct world *world, const char *location, const char *key_file, bool watched)
{
    struct reason why;

    if (!world_try_open(world, location, key_file, watched, &why))
        fail_msg("%s: %s", location, why.text);
}

void world_close(struct world *world)
{
    if (world->store)
        world->store->ops->close(world->store);
    mailbox_close(&world->mailbox);
    loop_close(&world->loop);
    conf_free(world->conf);
}

void world_answered(struct world *world)
{
    if (++world->answers == world->wanted)
        loop_stop(&world->loop);
}

void world_wait(struct world *world, size_t answers)
{
    world->answers = 0;
    world->wanted = answers;
    loop_run(&world->loop);
}

void world_wait_changed(struct world *world)
{
    world->until_changed = true;
    if (!world->changes)
        loop_run(&world->loop);
    world->until_changed = false;
    world->changes = 0;
}

struct alarm {
    struct timer timer;
    struct loop *loop;
};

static void on_alarm(struct timer *timer)
{
    loop_stop(container_of(timer, struct alarm, timer)->loop);
}

bool world_rest(struct world *world, uint64_t ms)
{
    struct alarm alarm = {.loop = &world->loop};
    bool changed;

    timer_init(&alarm.timer, on_alarm);
    loop_timer_set(&world->loop, &alarm.timer, ms);
    loop_run(&world->loop);
    loop_timer_cancel(&world->loop, &alarm.timer);
    changed = world->changes > 0;
    world->changes = 0;
    return changed;
}

/* --- requests ------------------------------------------------------------------- */

static void on_saved(struct store_save *save)
{
    world_answered(save->owner);
}

static void on_loaded(struct store_load *load)
{
    world_answered(load->owner);
}

static void on_written(struct store_write *write)
{
    world_answered(write->owner);
}

static void on_page(struct store_page *page)
{
    world_answered(page->owner);
}

static void on_rekeyed(struct store_rekey *rekey)
{
    world_answered(rekey->owner);
}

enum store_status world_save(struct world *world, const char *id, const char *expected,
                             const char *token, struct reason *why)
{
    struct store_save request = {.id = id, .expected = expected, .token = token};

    request.done = on_saved;
    request.owner = world;
    world->store->ops->save_token(world->store, &request);
    world_wait(world, 1);
    *why = request.why;
    return request.status;
}

struct account_set *world_load(struct world *world, struct reason *why)
{
    struct store_load request = {.conf = world->conf, .done = on_loaded, .owner = world};

    world->store->ops->load(world->store, &request);
    world_wait(world, 1);
    *why = request.why;
    return request.set;
}

struct store_edit world_edit(enum store_edit_kind kind, const char *id, const char *object)
{
    struct store_edit edit = {.kind = kind};
    json_error_t error;

    edit.id = id ? slice_dup(slice_of(id)) : NULL;
    edit.object = object ? json_loads(object, JSON_DECODE_ANY, &error) : NULL;
    if (object && !edit.object)
        fail_msg("%s: %s", object, error.text);
    return edit;
}

void world_write(struct world *world, struct store_edit *edits, size_t count)
{
    struct store_write request = {.conf = world->conf, .edits = edits, .count = count};

    request.done = on_written;
    request.owner = world;
    world->store->ops->write(world->store, &request);
    world_wait(world, 1);
}

void world_clear(struct store_edit *edits, size_t count)
{
    struct store_write write = {.edits = calloc(count, sizeof(*edits)), .count = count};

    memcpy(write.edits, edits, count * sizeof(*edits));
    store_write_clear(&write);
}

enum store_status world_change(struct world *world, enum store_edit_kind kind, const char *id,
                               const char *object, struct reason *why)
{
    struct store_edit edit = world_edit(kind, id, object);

    world_write(world, &edit, 1);
    if (why)
        *why = edit.why;
    world_clear(&edit, 1);
    return edit.status;
}

json_t *world_export(struct world *world, size_t limit)
{
    struct store_page request = {.limit = limit, .done = on_page, .owner = world};
    json_t *all = json_array();

    do {
        world->store->ops->page(world->store, &request);
        world_wait(world, 1);
        if (!request.records)
            fail_msg("page: %s", request.why.text);
        assert_true(json_array_size(request.records) <= limit);
        json_array_extend(all, request.records);
        json_decref(request.records);
    } while (request.more);
    return all;
}

enum store_status world_rekey(struct world *world, size_t *records, struct reason *why)
{
    struct store_rekey request = {.done = on_rekeyed, .owner = world};

    world->store->ops->rekey(world->store, &request);
    world_wait(world, 1);
    *records = request.records;
    *why = request.why;
    return request.status;
}

/* --- files ---------------------------------------------------------------------- */

void write_text(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

char *read_text(const char *path)
{
    size_t len;
    struct reason why;
    char *text = file_read(path, &len, &why);

    if (!text)
        fail_msg("%s", why.text);
    return text;
}

void check_text_file(const char *path, const char *wants)
{
    char *text = read_text(path);

    check_slice(path, slice_of(text), slice_of(wants));
    free(text);
}
