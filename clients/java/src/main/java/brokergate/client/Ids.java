package brokergate.client;

import java.security.SecureRandom;

/** Ids under which a thing is done once. */
public final class Ids {
    private static final char[] DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ".toCharArray();
    private static final SecureRandom RANDOM = new SecureRandom();
    private static long lastMilliseconds;
    // The 80 random bits, in halves of 40.
    private static long high;
    private static long low;

    private Ids() {}

    /**
     * A client_order_id or request_id that nobody else makes: 26 characters of [0-9A-HJKMNP-TV-Z] (a ULID) that sort by the
     * time they were made at, within a process strictly.
     */
    public static synchronized String next() {
        long now = System.currentTimeMillis();
        if (now > lastMilliseconds) {
            lastMilliseconds = now;
            high = RANDOM.nextLong() >>> 25; // 39 bits, so that there is room to count up
            low = RANDOM.nextLong() >>> 24;
        } else if (++low >>> 40 != 0) {
            low = 0;
            high++;
        }
        char[] text = new char[26];
        write(text, 0, 10, lastMilliseconds);
        write(text, 10, 8, high);
        write(text, 18, 8, low);
        return new String(text);
    }

    private static void write(char[] text, int from, int count, long value) {
        for (int index = from + count - 1; index >= from; index--) {
            text[index] = DIGITS[(int) (value & 31)];
            value >>>= 5;
        }
    }
}
