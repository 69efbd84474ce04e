/* Start-up of a Cortex-M4F in QEMU (board mps2-an386), for running an export's golden vectors with semihosting:
 *
 *     arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard -std=gnu99 -O2 -nostartfiles --specs=rdimon.specs \
 *         -IE benchmarks/cortex_m4/start.c E/check_golden.c -T benchmarks/cortex_m4/board.ld -lm -o golden.elf
 *     qemu-system-arm -M mps2-an386 -nographic -semihosting -kernel golden.elf
 *
 * Debian: gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm. E is the directory of `roadsense export`.
 */
#include <stdint.h>

#define STACK_TOP 0x20100000u
#define COPROCESSOR_ACCESS 0xE000ED88u

extern int main(void);
extern void initialise_monitor_handles(void);
extern void exit(int status);
extern uint32_t bss_start, bss_end;

void _init(void) {}
void _fini(void) {}

static void reset(void) {
  uint32_t *word;
  *(volatile uint32_t *)COPROCESSOR_ACCESS |= 0xFu << 20; /* switch the floating-point unit on */
  for (word = &bss_start; word < &bss_end; ++word) {
    *word = 0;
  }
  initialise_monitor_handles();
  exit(main());
}

static void hang(void) {
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) static void (*const vectors[])(void) = {(void (*)(void))STACK_TOP, reset, hang, hang, hang, hang};
