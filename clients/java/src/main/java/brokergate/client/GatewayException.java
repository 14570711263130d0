package brokergate.client;

import brokergate.v1.ErrorReason;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A call or stream failed. Its text is for people and holds no secret. */
public final class GatewayException extends RuntimeException {
    private static final long serialVersionUID = 1;
    private static final String DOMAIN = "brokergate";
    private static final String PREFIX = "ERROR_REASON_";

    private final Status.Code code;
    private final ErrorReason reason;
    private final String reasonName;
    private final transient List<FieldViolation> violations;
    private final transient Map<String, String> metadata;
    private final Duration retryDelay;
    private String requestId = "";
    private boolean outcomeUnknown;

    GatewayException(
            Status.Code code,
            ErrorReason reason,
            String reasonName,
            String message,
            List<FieldViolation> violations,
            Map<String, String> metadata,
            Duration retryDelay,
            Throwable cause) {
        super(message, cause);
        this.code = code;
        this.reason = reason;
        this.reasonName = reasonName;
        this.violations = List.copyOf(violations);
        this.metadata = Map.copyOf(metadata);
        this.retryDelay = retryDelay;
    }

    GatewayException(Status.Code code, String message) {
        this(code, ErrorReason.ERROR_REASON_UNSPECIFIED, "", message, List.of(), Map.of(), null, null);
    }

    /** The error that a stub of the contract threw, or gave to its observer, with the details that the gateway sent. */
    public static GatewayException of(Throwable thrown) {
        if (thrown instanceof GatewayException known) {
            return known;
        }
        Status status = Status.fromThrowable(thrown);
        String message = status.getDescription() == null ? "no message" : status.getDescription();
        // gRPC says `io exception` of a connection that was refused, and of a certificate that is not believed.
        for (Throwable cause = status.getCause(); cause != null; cause = cause.getCause()) {
            if (cause.getMessage() != null && !message.contains(cause.getMessage())) {
                message += ": " + cause.getMessage();
            }
        }
        String name = "";
        Duration delay = null;
        Map<String, String> metadata = Map.of();
        List<FieldViolation> violations = new ArrayList<>();
        try {
            com.google.rpc.Status said = StatusProto.fromThrowable(thrown);
            for (Any detail : said == null ? List.<Any>of() : said.getDetailsList()) {
                if (detail.is(ErrorInfo.class)) {
                    ErrorInfo info = detail.unpack(ErrorInfo.class);
                    if (info.getDomain().equals(DOMAIN)) {
                        name = info.getReason();
                        metadata = info.getMetadataMap();
                    }
                } else if (detail.is(BadRequest.class)) {
                    for (BadRequest.FieldViolation each : detail.unpack(BadRequest.class).getFieldViolationsList()) {
                        violations.add(new FieldViolation(each.getField(), each.getDescription()));
                    }
                } else if (detail.is(RetryInfo.class)) {
                    com.google.protobuf.Duration given = detail.unpack(RetryInfo.class).getRetryDelay();
                    delay = Duration.ofSeconds(given.getSeconds(), given.getNanos());
                }
            }
        } catch (InvalidProtocolBufferException | IllegalArgumentException garbage) {
            // The code and the message are all that there is then.
        }
        ErrorReason reason = ErrorReason.ERROR_REASON_UNSPECIFIED;
        for (ErrorReason each : ErrorReason.values()) {
            if (each.name().equals(PREFIX + name)) {
                reason = each;
            }
        }
        return new GatewayException(status.getCode(), reason, name, message, violations, metadata, delay, thrown);
    }

    /** The error of one item of an answer (of a batch, or of an order entry stream). */
    public static GatewayException of(brokergate.v1.Error error) {
        List<FieldViolation> violations = new ArrayList<>();
        for (brokergate.v1.FieldViolation each : error.getFieldViolationsList()) {
            violations.add(new FieldViolation(each.getField(), each.getDescription()));
        }
        return new GatewayException(
                Status.fromCodeValue(error.getCode()).getCode(),
                error.getReason(),
                nameOf(error.getReason(), error.getReasonValue()),
                error.getMessage(),
                violations,
                error.getMetadataMap(),
                null,
                null);
    }

    static String nameOf(ErrorReason reason, int number) {
        return reason == ErrorReason.UNRECOGNIZED ? Integer.toString(number) : reason.name().substring(PREFIX.length());
    }

    /** gRPC's code. */
    public Status.Code code() {
        return code;
    }

    /**
     * The contract's reason: UNSPECIFIED where the error is not the gateway's own (a connection that was refused), and where
     * the gateway is newer than this client.
     */
    public ErrorReason reason() {
        return reason;
    }

    /** The reason as the gateway wrote it ({@code ORDER_NOT_FOUND}), also where this client does not know it. */
    public String reasonName() {
        return reasonName;
    }

    /** The fields that are wrong. */
    public List<FieldViolation> violations() {
        return violations;
    }

    /** Facts for programs. */
    public Map<String, String> metadata() {
        return metadata;
    }

    /** The gateway's word on when to try again. */
    public Optional<Duration> retryDelay() {
        return Optional.ofNullable(retryDelay);
    }

    /**
     * The id under which a call that changes something may be repeated: for an order the client_order_id, for a batch that of
     * its first order; empty for a read.
     */
    public String requestId() {
        return requestId;
    }

    /** Whether what was asked for may have been done: an answer was lost, or the gateway does not know it itself. */
    public boolean outcomeUnknown() {
        return outcomeUnknown;
    }

    @Override
    public String toString() {
        String text = (reasonName.isEmpty() ? code.name() : reasonName) + ": " + getMessage();
        return outcomeUnknown
                ? text + " (the outcome is unknown; repeat with id '" + requestId + "' to learn it)"
                : text;
    }

    GatewayException about(String id, boolean unknown) {
        requestId = id;
        outcomeUnknown = unknown;
        return this;
    }

    /** Whether this is no more than a deadline that passed: an error before it says more. */
    boolean isLate() {
        return code == Status.Code.DEADLINE_EXCEEDED && reasonName.isEmpty();
    }

    /** The same error, of a call whose next attempt the deadline ended. */
    GatewayException askedAgain() {
        String message = getMessage() + "; asked again, and no answer came before the deadline";
        return new GatewayException(code, reason, reasonName, message, violations, metadata, retryDelay, this);
    }

    /** Whether the gateway may have done what was asked although this error came. */
    boolean answerWasLost() {
        if (code == Status.Code.DEADLINE_EXCEEDED || reason == ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN) {
            return true;
        }
        return switch (code) {
            // What gRPC itself says of a connection that broke in the middle.
            case UNAVAILABLE, CANCELLED, INTERNAL, UNKNOWN -> reasonName.isEmpty();
            default -> false;
        };
    }

    /** Whether the same call may succeed later. A deadline has passed for good. */
    boolean invitesRepeat() {
        return code != Status.Code.DEADLINE_EXCEEDED && (code == Status.Code.UNAVAILABLE || answerWasLost());
    }

    /** Whether this error tells nothing of what an earlier attempt did: it came before the id was looked up. */
    boolean leavesOpen() {
        return code == Status.Code.UNAUTHENTICATED
                || code == Status.Code.PERMISSION_DENIED
                || code == Status.Code.UNAVAILABLE
                || answerWasLost();
    }
}
