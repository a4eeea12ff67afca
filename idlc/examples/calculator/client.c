/* A client of the calculator in C: the kernel's header, the two that idlc
 * writes, and nothing else. It says on the console what came out.
 *
 * The calculator is written in Rust; both sides agree on words alone. */

#include "example.calculator.h"
#include "gritos.console.h"
#include "gritos.h"

/* The page that names a component's capabilities: sel4-style-libsys/src/environment.rs. */
#define ENVIRONMENT ((const unsigned char *)UINT64_C(0x400000000))
#define GRANT_COUNT 28
#define GRANTS 72
#define GRANT_BYTES 56
#define GRANT_NAME 24
#define GRANT_SERVICE 1

/* The tag of a request that the server's stub refused: docs/reference/gidl.md. */
#define REFUSED_BAD_ENUM UINT64_C(0xffffff06)

/* Compilers may turn loops and initialisers into calls of these. */
void *memcpy(void *to, const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((volatile unsigned char *)to)[i] = ((const unsigned char *)from)[i];
    return to;
}

void *memset(void *to, int byte, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ((volatile unsigned char *)to)[i] = (unsigned char)byte;
    return to;
}

static uint32_t word32(const unsigned char *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* The session with a service; 0 if the system does not give it. */
static gRiTOS_Address_t service(const char *name)
{
    uint32_t count = word32(ENVIRONMENT + GRANT_COUNT);
    for (uint32_t i = 0; i < count; i++) {
        const unsigned char *grant = ENVIRONMENT + GRANTS + i * GRANT_BYTES;
        const unsigned char *found = grant + GRANT_NAME;
        int at = 0;
        while (name[at] != '\0' && found[at] == (unsigned char)name[at])
            at++;
        if (word32(grant) == GRANT_SERVICE && name[at] == '\0' && found[at] == '\0')
            return word32(grant + 4);
    }
    return 0;
}

/* Calls a method; returns the tag of the answer, all ones if there is none. */
static uint64_t call(gRiTOS_Address_t session, uint64_t method, const void *request, size_t size,
                     void *response, size_t room)
{
    gRiTOS_MsgInfo_t message = {.tag = method}, answer;
    memcpy(message.data_words, request, size);
    message.control = GRITOS_CONTROL((size + 7) / 8, 0, 0);
    if (gRiTOS_Call(session, &message, &answer) != GRITOS_STATUS_OK)
        return UINT64_MAX;
    memcpy(response, answer.data_words, room);
    return answer.tag;
}

static void say(gRiTOS_Address_t console, const char *text)
{
    console_console_write_request_t line;
    memset(&line, 0, sizeof line);
    while (text[line.data.length] != '\0' && line.data.length < sizeof line.data.bytes) {
        line.data.bytes[line.data.length] = (uint8_t)text[line.data.length];
        line.data.length++;
    }
    (void)call(console, CONSOLE_METHOD_WRITE, &line, sizeof line, NULL, 0);
}

static uint64_t calculate(gRiTOS_Address_t session, int64_t left, int64_t right,
                          calculator_operation_t operation, int64_t *result)
{
    calculator_calculator_calculate_request_t request;
    calculator_calculator_calculate_response_t response;
    memset(&request, 0, sizeof request);
    request.left = left;
    request.right = right;
    request.operation = operation;
    uint64_t tag = call(session, CALCULATOR_METHOD_CALCULATE, &request, sizeof request, &response,
                        sizeof response);
    *result = response.result;
    return tag;
}

/* What is wrong, or nothing. */
static const char *check(gRiTOS_Address_t session)
{
    int64_t result;
    if (calculate(session, 6, 7, CALCULATOR_OPERATION_MULTIPLY, &result) != 0 || result != 42)
        return "C: six times seven is not 42\n";
    if (calculate(session, 1, 2, CALCULATOR_OPERATION_SUBTRACT, &result) != 0 || result != -1)
        return "C: one less two is not -1\n";
    if (calculate(session, 1, 0, CALCULATOR_OPERATION_DIVIDE, &result) !=
        CALCULATOR_ERROR_DIVISION_BY_ZERO)
        return "C: something was divided by zero\n";
    if (calculate(session, 1, 1, 9, &result) != REFUSED_BAD_ENUM)
        return "C: an unknown operation was not refused\n";

    calculator_calculator_sum_request_t two = {.left = UINT64_MAX, .right = 2};
    calculator_calculator_sum_response_t sum;
    if (call(session, CALCULATOR_METHOD_SUM, &two, sizeof two, &sum, sizeof sum) != 0 ||
        sum.low != 1 || sum.carry != 1)
        return "C: a sum with carry is wrong\n";

    calculator_calculator_memory_response_t memory;
    if (call(session, CALCULATOR_METHOD_MEMORY, NULL, 0, &memory, sizeof memory) != 0 ||
        memory.sum != 41)
        return "C: the sum of all results is not 41\n";
    return NULL;
}

/* A task ends by this breakpoint. */
static _Noreturn void end(void)
{
    for (;;)
        __asm__ volatile("brk #0xe0");
}

_Noreturn void _start(void);

_Noreturn void _start(void)
{
    gRiTOS_Address_t calculator = service("calculator"), console = service("console");
    const char *wrong = check(calculator);
    say(console, wrong == NULL ? "C: all as it should be\n" : wrong);
    end();
}
