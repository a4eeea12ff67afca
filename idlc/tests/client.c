/* Writes the requests of tests/c_header.rs as a C client would. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gritos.test.shapes.h"

static void print(uint64_t tag, const void *request, size_t size)
{
    uint64_t words[8] = {0};
    memcpy(words, request, size);
    printf("%" PRIx64 " %zu", tag, (size + 7) / 8);
    for (int i = 0; i < 8; i++)
        printf(" %016" PRIx64, words[i]);
    printf("\n");
}

int main(void)
{
    shapes_point_t point = {.x = -2, .y = 300, .colour = SHAPES_COLOUR_GREEN};

    shapes_shapes_scalars_request_t scalars;
    memset(&scalars, 0, sizeof scalars);
    scalars.a = 1;
    scalars.b = -2;
    scalars.c = 3;
    scalars.d = -4;
    scalars.e = 1;
    scalars.f = SHAPES_COLOUR_RED;
    scalars.g = SHAPES_LEVEL_HIGH;
    scalars.h = SHAPES_MODE_READ | SHAPES_MODE_WRITE;
    scalars.i = SHAPES_HINTS_FAST;
    scalars.j = -5;
    print(SHAPES_METHOD_SCALARS, &scalars, sizeof scalars);

    shapes_shapes_shape_request_t shape;
    memset(&shape, 0, sizeof shape);
    shape.shape.which = SHAPES_SHAPE_DOT;
    shape.shape.as.dot.x = point.x;
    shape.shape.as.dot.y = point.y;
    shape.shape.as.dot.colour = point.colour;
    shape.extra.value = 9;
    shape.extra.present = 1;
    print(SHAPES_METHOD_SHAPE, &shape, sizeof shape);

    shapes_shapes_record_request_t record;
    memset(&record, 0, sizeof record);
    record.record.name.length = 4;
    memcpy(record.record.name.bytes, "name", 4);
    for (int i = 0; i < 2; i++) {
        record.record.points[i].x = point.x;
        record.record.points[i].y = point.y;
        record.record.points[i].colour = point.colour;
    }
    record.record.mode.value = SHAPES_MODE_READ;
    record.record.mode.present = 1;
    record.record.tail.length = 2;
    record.record.tail.bytes[0] = 1;
    record.record.tail.bytes[1] = 2;
    print(SHAPES_METHOD_RECORD, &record, sizeof record);

    shapes_shapes_imported_request_t imported;
    memset(&imported, 0, sizeof imported);
    imported.stamp.seconds = 7;
    imported.stamp.nanos = 8;
    print(SHAPES_METHOD_IMPORTED, &imported, sizeof imported);
    return 0;
}
