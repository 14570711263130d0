package brokergate.client;

import brokergate.v1.ErrorReason;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.grpc.Status;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/** Between {@link BigDecimal} and the contract's strings, {@code -?[0-9]{1,20}(\.[0-9]{1,18})?}, to the last digit. */
public final class Decimals {
    private static final Pattern FORM = Pattern.compile("-?[0-9]{1,20}(\\.[0-9]{1,18})?");
    // The contract's strings that are decimals, by the ends of their names.
    private static final Pattern NAME =
            Pattern.compile(".*(quantity|price|amount|percent|increment|volume|leverage|_ms|_seconds|shares_outstanding)");
    private static final int PLACES = 18;
    private static final int SHOWN = 64;

    private Decimals() {}

    /** The number that an answer's field holds; zero where it is empty. Throws as {@link #parse}. */
    public static BigDecimal of(String text) {
        return text.isEmpty() ? BigDecimal.ZERO : parse("decimal", text);
    }

    /** Reads a number of the contract. Throws {@link GatewayException} (INVALID_FIELD) that names the field. */
    public static BigDecimal parse(String field, String text) {
        if (!FORM.matcher(text).matches()) {
            throw refused(List.of(new FieldViolation(field, bad(text))));
        }
        return new BigDecimal(text);
    }

    /**
     * Writes a number as the contract does, in plain digits. One that the contract does not allow is refused when it is to
     * be sent.
     */
    public static String text(BigDecimal number) {
        // A product has the places of both its factors, zeros too.
        BigDecimal sent = number.scale() > PLACES ? number.stripTrailingZeros() : number;
        // Plain digits of a number with a vast exponent would fill the memory.
        return Math.abs((long) sent.scale()) > 10_000 ? sent.toString() : sent.toPlainString();
    }

    /** Refuses a message that holds malformed decimals, by the path of each such field. */
    static void check(Message message) {
        List<FieldViolation> violations = new ArrayList<>();
        walk(message, "", violations);
        if (!violations.isEmpty()) {
            throw refused(violations);
        }
    }

    private static void walk(Message message, String path, List<FieldViolation> violations) {
        for (Map.Entry<FieldDescriptor, Object> entry : message.getAllFields().entrySet()) {
            FieldDescriptor field = entry.getKey();
            String name = path + field.getName();
            if (field.isMapField()) {
                continue;
            }
            if (field.getJavaType() == FieldDescriptor.JavaType.STRING) {
                if (!field.isRepeated() && NAME.matcher(field.getName()).matches()) {
                    String text = (String) entry.getValue();
                    if (!FORM.matcher(text).matches()) {
                        violations.add(new FieldViolation(name, bad(text)));
                    }
                }
            } else if (field.getJavaType() == FieldDescriptor.JavaType.MESSAGE) {
                if (field.isRepeated()) {
                    List<?> items = (List<?>) entry.getValue();
                    for (int index = 0; index < items.size(); index++) {
                        walk((Message) items.get(index), name + "[" + index + "].", violations);
                    }
                } else {
                    walk((Message) entry.getValue(), name + ".", violations);
                }
            }
        }
    }

    private static String bad(String text) {
        String shown = text.length() > SHOWN ? text.substring(0, SHOWN) : text;
        return "'" + shown + "' is no decimal of the contract: up to 20 digits, a point, up to 18 digits";
    }

    /** An error of this client's own, in the form that the gateway would have given it. */
    static GatewayException refused(List<FieldViolation> violations) {
        FieldViolation first = violations.get(0);
        return new GatewayException(
                Status.Code.INVALID_ARGUMENT,
                ErrorReason.ERROR_REASON_INVALID_FIELD,
                "INVALID_FIELD",
                first.field() + ": " + first.description(),
                violations,
                Map.of(),
                null,
                null);
    }
}
