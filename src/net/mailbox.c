#include "net/mailbox.h"

static void deliver_all(struct mailbox *mailbox)
{
    struct mail *mail;

    pthread_mutex_lock(&mailbox->lock);
    mail = mailbox->first;
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    pthread_mutex_unlock(&mailbox->lock);
    while (mail) {
        struct mail *next = mail->next; /* deliver may free or post it again */

        mail->deliver(mail);
        mail = next;
    }
}

static void on_wake(uv_async_t *wake)
{
    deliver_all(wake->data);
}

bool mailbox_init(struct mailbox *mailbox, struct loop *loop, struct reason *why)
{
    int rc = uv_async_init(&loop->uv, &mailbox->wake, on_wake);

    if (rc < 0)
        return reason_set(why, "cannot create a mailbox: %s", uv_strerror(rc));
    mailbox->wake.data = mailbox;
    pthread_mutex_init(&mailbox->lock, NULL);
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    mailbox->open = true;
    return true;
}

bool mailbox_post(struct mailbox *mailbox, struct mail *mail, void (*deliver)(struct mail *mail))
{
    bool was_empty, open;

    mail->next = NULL;
    mail->deliver = deliver;
    pthread_mutex_lock(&mailbox->lock);
    open = mailbox->open;
    was_empty = !mailbox->first;
    if (open) {
        *mailbox->last = mail;
        mailbox->last = &mail->next;
        /* Under the lock, so that close cannot pull the handle away. */
        if (was_empty)
            uv_async_send(&mailbox->wake);
    }
    pthread_mutex_unlock(&mailbox->lock);
    return open;
}

void mailbox_close(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    mailbox->open = false;
    pthread_mutex_unlock(&mailbox->lock);
    deliver_all(mailbox);
    uv_close((uv_handle_t *)&mailbox->wake, NULL);
}
