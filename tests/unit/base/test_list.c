#include "check.h"

#include "base/list.h"

struct item {
    int value;
    struct list_node node;
};

static int value_of(const struct list_node *node)
{
    return container_of(node, struct item, node)->value;
}

/* Checks order and counter against the digits of `wanted`, both ways round. */
static void check_order(struct list *list, const char *wanted)
{
    size_t at = 0;

    assert_int_equal(list->count, strlen(wanted));
    assert_int_equal(list_empty(list), !*wanted);
    list_foreach (list, node)
        assert_int_equal(value_of(node), wanted[at++] - '0');
    assert_int_equal(at, list->count);
    for (struct list_node *node = list->head.prev; node != &list->head; node = node->prev)
        assert_int_equal(value_of(node), wanted[--at] - '0');
}

static void fill(struct list *list, struct item *items, size_t count)
{
    list_init(list);
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct item){.value = (int)i + 1};
        list_push_tail(list, &items[i].node);
    }
}

static void test_empty(void **state)
{
    struct list list;

    (void)state;
    list_init(&list);
    check_order(&list, "");
    assert_null(list_first(&list));
    assert_null(list_last(&list));
    assert_null(list_pop_head(&list));
}

static void test_push_and_pop(void **state)
{
    struct item items[3], extra = {.value = 9};
    struct list list;

    (void)state;
    fill(&list, items, 3);
    check_order(&list, "123");
    list_push_head(&list, &extra.node);
    check_order(&list, "9123");
    assert_int_equal(value_of(list_first(&list)), 9);
    assert_int_equal(value_of(list_last(&list)), 3);
    assert_ptr_equal(list_pop_head(&list), &extra.node);
    assert_false(list_node_linked(&extra.node));
    check_order(&list, "123");
}

static void test_insert_and_remove(void **state)
{
    struct item items[3], extra = {.value = 9};
    struct list list;

    (void)state;
    fill(&list, items, 3);
    list_insert_after(&list, &items[1].node, &extra.node);
    check_order(&list, "1293");
    assert_true(list_node_linked(&extra.node));
    list_remove(&list, &items[1].node);
    check_order(&list, "193");
    list_remove(&list, &items[0].node);
    list_remove(&list, &items[2].node);
    check_order(&list, "9");
    list_remove(&list, &extra.node);
    check_order(&list, "");
    list_push_tail(&list, &extra.node);
    check_order(&list, "9");
}

static void test_walk_while_removing(void **state)
{
    struct item items[5];
    struct list list;

    (void)state;
    fill(&list, items, 5);
    list_foreach_safe (&list, node) {
        if (value_of(node) % 2)
            list_remove(&list, node);
    }
    check_order(&list, "24");
    list_foreach_safe (&list, node)
        list_remove(&list, node);
    check_order(&list, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_push_and_pop),
        cmocka_unit_test(test_insert_and_remove),
        cmocka_unit_test(test_walk_while_removing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
