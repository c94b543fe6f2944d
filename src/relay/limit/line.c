#include "relay/limit/line.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

struct line_client {
    struct list_node node;
    struct list items; /* line_item.node */
    char name[64];
};

static struct line_item *item_of(struct list_node *node)
{
    return node ? container_of(node, struct line_item, node) : NULL;
}

static struct line_client *client_of(struct list_node *node)
{
    return node ? container_of(node, struct line_client, node) : NULL;
}

void line_init(struct line *line)
{
    list_init(&line->first);
    list_init(&line->clients);
    line->spare = NULL;
    line->count = 0;
}

void line_clear(struct line *line)
{
    assert(!line->count && list_empty(&line->clients));
    free(line->spare);
    line->spare = NULL;
}

/* Few clients have messages waiting at one account. */
static struct line_client *find(const struct line *line, const char *name)
{
    list_foreach (&line->clients, node) {
        struct line_client *client = container_of(node, struct line_client, node);

        if (slice_equal(slice_of(client->name), slice_of(name)))
            return client;
    }
    return NULL;
}

static struct line_client *find_or_add(struct line *line, const char *name)
{
    struct line_client *client = find(line, name);
    size_t len = strlen(name);

    if (client)
        return client;
    client = line->spare ? line->spare : malloc(sizeof(*client));
    if (!client)
        return NULL;
    line->spare = NULL;
    *client = (struct line_client){.node = {NULL, NULL}};
    memcpy(client->name, name, len < sizeof(client->name) ? len : sizeof(client->name) - 1);
    list_init(&client->items);
    list_push_tail(&line->clients, &client->node);
    return client;
}

bool line_push(struct line *line, struct line_item *item, const char *client)
{
    item->client = find_or_add(line, client);
    if (!item->client)
        return false;
    list_push_tail(&item->client->items, &item->node);
    line->count++;
    return true;
}

void line_push_first(struct line *line, struct line_item *item)
{
    item->client = NULL;
    list_push_head(&line->first, &item->node);
    line->count++;
}

static void drop_if_empty(struct line *line, struct line_client *client)
{
    if (!list_empty(&client->items))
        return;
    list_remove(&line->clients, &client->node);
    free(line->spare);
    line->spare = client; /* a client that sends one by one comes again and again */
}

void line_remove(struct line *line, struct line_item *item)
{
    struct line_client *client = item->client;

    list_remove(client ? &client->items : &line->first, &item->node);
    item->client = NULL;
    line->count--;
    if (client)
        drop_if_empty(line, client);
}

void line_serve(struct line *line, struct line_item *item)
{
    struct line_client *client = item->client;

    if (client) {
        list_remove(&line->clients, &client->node);
        list_push_tail(&line->clients, &client->node);
    }
    line_remove(line, item);
}

struct line_item *line_head(const struct line *line)
{
    struct line_client *client = client_of(list_first(&line->clients));

    if (!list_empty(&line->first))
        return item_of(list_first(&line->first));
    return client ? item_of(list_first(&client->items)) : NULL;
}

static struct line_item *head_of(const struct line *line, struct list_node *node)
{
    struct line_client *client = node == &line->clients.head ? NULL : client_of(node);

    return client ? item_of(list_first(&client->items)) : NULL;
}

struct line_item *line_next(const struct line *line, const struct line_item *item)
{
    const struct list *of = item->client ? &item->client->items : &line->first;

    if (item->node.next != &of->head)
        return item_of(item->node.next);
    return head_of(line, item->client ? item->client->node.next : line->clients.head.next);
}

/* Its place in its own queue, and of each other queue as many as have their turns
 * before that one's. */
size_t line_ahead(const struct line *line, const struct line_item *item)
{
    const struct list *of = item->client ? &item->client->items : &line->first;
    size_t place = 0, ahead, rounds;

    list_foreach (of, node) {
        if (node == &item->node)
            break;
        place++;
    }
    if (!item->client)
        return place;
    ahead = line->first.count + place;
    rounds = place + 1;
    list_foreach (&line->clients, node) {
        struct line_client *client = client_of(node);

        if (client == item->client)
            rounds = place;
        else
            ahead += client->items.count < rounds ? client->items.count : rounds;
    }
    return ahead;
}
