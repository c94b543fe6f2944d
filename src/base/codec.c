#include "base/codec.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const void *bytes, size_t len, char *out)
{
    const unsigned char *in = bytes;
    char *at = out;

    for (; len >= 3; in += 3, len -= 3) {
        uint32_t word = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

        *at++ = alphabet[word >> 18];
        *at++ = alphabet[word >> 12 & 63];
        *at++ = alphabet[word >> 6 & 63];
        *at++ = alphabet[word & 63];
    }
    if (len) {
        uint32_t word = (uint32_t)in[0] << 16 | (len == 2 ? (uint32_t)in[1] << 8 : 0);

        *at++ = alphabet[word >> 18];
        *at++ = alphabet[word >> 12 & 63];
        *at++ = len == 2 ? alphabet[word >> 6 & 63] : '=';
        *at++ = '=';
    }
    *at = '\0';
    return (size_t)(at - out);
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

ptrdiff_t base64_decode(struct slice text, void *out, size_t cap)
{
    unsigned char *to = out;
    size_t pad = 0, len;

    if (text.len == 0)
        return 0;
    if (text.len % 4)
        return -1;
    while (pad < 2 && text.ptr[text.len - 1 - pad] == '=')
        pad++;
    len = text.len / 4 * 3 - pad;
    if (len > cap)
        return -1;
    for (size_t i = 0; i < text.len; i += 4) {
        size_t last = i + 4 == text.len ? pad : 0;
        uint32_t word = 0;

        for (size_t k = 0; k < 4; k++) {
            int value = k < 4 - last ? value_of(text.ptr[i + k]) : 0;

            if (value < 0)
                return -1;
            word = word << 6 | (uint32_t)value;
        }
        if ((last == 1 && (word & 0xff)) || (last == 2 && (word & 0xffff)))
            return -1;
        *to++ = (unsigned char)(word >> 16);
        if (last < 2)
            *to++ = (unsigned char)(word >> 8);
        if (last < 1)
            *to++ = (unsigned char)word;
    }
    return (ptrdiff_t)len;
}

size_t base64url_encode(const void *bytes, size_t len, char *out)
{
    size_t written = base64_encode(bytes, len, out);

    while (written && out[written - 1] == '=')
        out[--written] = '\0';
    for (size_t i = 0; i < written; i++) {
        if (out[i] == '+')
            out[i] = '-';
        else if (out[i] == '/')
            out[i] = '_';
    }
    return written;
}

void hex_encode(const void *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = bytes;

    for (size_t i = 0; i < len; i++) {
        *out++ = digits[in[i] >> 4];
        *out++ = digits[in[i] & 15];
    }
    *out = '\0';
}
