//! The list itself, by subject.

use tonic::Code;

use super::Party;

/// Declares the list: name on the wire, party, gRPC code, rule, remedy.
macro_rules! reasons {
    ($($variant:ident $name:literal $party:ident $code:ident: $rule:literal $remedy:literal;)+) => {
        /// Why something was refused or failed. New reasons are added at the end of their subject; none is ever reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $(#[doc = concat!("`", $name, "`: ", $rule, " ", $remedy)] $variant,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Reason] = &[$(Reason::$variant),+];

            /// Name on the wire, in capitals.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$variant => $name,)+ }
            }

            /// Who has to act, as seen by the node that states the reason.
            pub fn party(self) -> Party {
                match self { $(Reason::$variant => Party::$party,)+ }
            }

            /// The gRPC status code that callers see.
            pub fn code(self) -> Code {
                match self { $(Reason::$variant => Code::$code,)+ }
            }

            /// The rule that was applied, one sentence.
            pub fn rule(self) -> &'static str {
                match self { $(Reason::$variant => $rule,)+ }
            }

            /// What to do about it.
            pub fn remedy(self) -> &'static str {
                match self { $(Reason::$variant => $remedy,)+ }
            }
        }
    };
}

reasons! {
    // Whom the call is for.
    UnknownService "UNKNOWN_SERVICE" Caller Unimplemented:
        "No member publishes this service in the snapshot in force."
        "Check the service's full name; if it was published a moment ago, compare the snapshot version in `jisr node status`.";
    UnknownMethod "UNKNOWN_METHOD" Caller Unimplemented:
        "The published schema of the service has no such method."
        "Generate the stubs again from the schema in the catalogue.";
    UnknownMember "UNKNOWN_MEMBER" Caller NotFound:
        "No member of this name stands in the snapshot in force."
        "Check the name; a new member must be admitted and approved at the registry first.";
    UnknownProvider "UNKNOWN_PROVIDER" Caller NotFound:
        "The subsystem named in jisr-provider does not publish this service."
        "Leave jisr-provider out, or name one of the providers the catalogue lists.";
    UnknownNode "UNKNOWN_NODE" Caller NotFound:
        "No such node, or none of that member, stands in the snapshot in force."
        "Check the node's name; a member's node must be enrolled before it can exchange.";
    ProviderAmbiguous "PROVIDER_AMBIGUOUS" Caller InvalidArgument:
        "Several subsystems publish this service, and the call does not say which one is meant."
        "Set the metadata jisr-provider to one of them.";
    MethodNotUnary "METHOD_NOT_UNARY" Caller Unimplemented:
        "This version exchanges unary calls only; the method is a stream."
        "Use a unary method of the service.";

    // What the call says.
    PurposeMissing "PURPOSE_MISSING" Caller InvalidArgument:
        "Every exchange names its purpose."
        "Set the metadata jisr-purpose to one of the purpose codes of the agreement.";
    MetadataInvalid "METADATA_INVALID" Caller InvalidArgument:
        "Values of jisr- metadata are percent-encoded UTF-8 of 1 to 256 bytes without control or direction characters, each given once."
        "Correct the value that the detail names.";
    ConsentMissing "CONSENT_MISSING" Caller InvalidArgument:
        "A chamber's calls, and those of agreements that demand it, name the consent of the person concerned."
        "Set the metadata jisr-consent.";
    DutyMissing "DUTY_MISSING" Caller InvalidArgument:
        "A public body asks only as far as a legal duty requires: each of its calls names that duty."
        "Set the metadata jisr-duty.";
    ExchangeIdInvalid "EXCHANGE_ID_INVALID" Caller InvalidArgument:
        "An exchange id is a UUID of version 7 (RFC 9562) in lower case."
        "Make a new one for each exchange, or leave jisr-exchange-id out.";
    ExchangeIdReused "EXCHANGE_ID_REUSED" Caller AlreadyExists:
        "This exchange id was used before, for another question."
        "Use a new id for each exchange; the same id only repeats the same question.";
    ExchangeRunning "EXCHANGE_RUNNING" Caller Aborted:
        "The exchange of this id is still being worked on."
        "Ask again with the same id after a moment; it will not be run twice.";
    BodyTooLarge "BODY_TOO_LARGE" Caller ResourceExhausted:
        "The message is larger than the node accepts."
        "Ask for less at once; the operator can raise the limit in the node's configuration.";
    CompressionUnsupported "COMPRESSION_UNSUPPORTED" Caller Unimplemented:
        "Messages are taken uncompressed, because evidence is over their bytes."
        "Switch message compression off in the client.";
    RequestInvalid "REQUEST_INVALID" Caller InvalidArgument:
        "A field of the request does not have the form that the contract says."
        "Correct the field that the detail names.";

    // Who calls.
    CallerUnauthenticated "CALLER_UNAUTHENTICATED" Caller Unauthenticated:
        "The door takes callers with a certificate only that it knows."
        "At a node's local door use a client certificate made by `jisr node client add`; at the registry a node's own certificate.";
    SubsystemNotYours "SUBSYSTEM_NOT_YOURS" Caller PermissionDenied:
        "The caller's credential does not stand for this subsystem."
        "Use the credential of that subsystem, or name your own in jisr-client.";
    SubsystemAmbiguous "SUBSYSTEM_AMBIGUOUS" Caller InvalidArgument:
        "The caller's credential stands for several subsystems, and the call does not say for which it asks."
        "Set the metadata jisr-client to one of them.";

    // The right to ask.
    NoAgreement "NO_AGREEMENT" Caller PermissionDenied:
        "No agreement between this consumer and this provider is registered."
        "Conclude one: officers of both members sign it, and `jisr node agree` enters it.";
    AgreementExpired "AGREEMENT_EXPIRED" Caller PermissionDenied:
        "The agreement's validity has ended."
        "Conclude a new agreement; an agreement is never prolonged.";
    AgreementNotYetValid "AGREEMENT_NOT_YET_VALID" Caller PermissionDenied:
        "The agreement's validity has not begun."
        "Wait for its first day; if that is past, set the node's clock.";
    AgreementRevoked "AGREEMENT_REVOKED" Caller PermissionDenied:
        "The agreement was revoked by one of its parties."
        "Ask the member that revoked it; a new agreement is needed.";
    MethodNotAgreed "METHOD_NOT_AGREED" Caller PermissionDenied:
        "The agreement does not cover this method."
        "Conclude an agreement that lists the method.";
    PurposeNotAgreed "PURPOSE_NOT_AGREED" Caller PermissionDenied:
        "The agreement does not cover this purpose."
        "Name a purpose code of the agreement, or conclude one for this purpose.";
    SchemaChanged "SCHEMA_CHANGED" Peer FailedPrecondition:
        "The provider publishes another schema than the one the agreement was concluded for."
        "The provider publishes the agreed schema again, or both conclude an agreement for the new one.";
    MaskUnsupported "MASK_UNSUPPORTED" Caller FailedPrecondition:
        "This version registers agreements for whole answers only: the mask of each method is `*`."
        "Set the mask of every method to `*`.";

    // What a peer sends.
    ProtocolVersion "PROTOCOL_VERSION" Peer FailedPrecondition:
        "The two nodes have no version of the peer protocol in common."
        "Upgrade the older of the two programs.";
    MalformedFrame "MALFORMED_FRAME" Peer Internal:
        "The peer sent bytes that are not a message of the peer protocol."
        "Report it to the peer's operator with the time; check for a proxy between the nodes.";
    MalformedStatement "MALFORMED_STATEMENT" Peer Internal:
        "A statement must be canonical and complete, as docs/formats.md says."
        "Report it to the peer's operator; its program is broken or of another version.";
    SealInvalid "SEAL_INVALID" Peer Unauthenticated:
        "A statement counts only with a seal: a proof under a checkpoint that its ledger's key signed."
        "Report it to the peer's operator at once; nothing was acted upon.";
    OriginUnlisted "ORIGIN_UNLISTED" Peer Unauthenticated:
        "The ledger that the statement stands in is not listed in the snapshot in force."
        "The peer enrols its ledger; if it did, compare snapshot versions.";
    PeerIdentityMismatch "PEER_IDENTITY_MISMATCH" Peer Unauthenticated:
        "The statement stands in another node's ledger than the node the connection belongs to."
        "Report it to the peer's operator; check the peer's address in the snapshot.";
    CertificateInvalid "CERTIFICATE_INVALID" Peer Unauthenticated:
        "A certificate must be of the profile for its use, in validity, issued by the registry and listed in the snapshot."
        "The party it belongs to renews it by enrolling again; check both clocks.";
    CertificateRevoked "CERTIFICATE_REVOKED" Peer Unauthenticated:
        "The certificate is revoked."
        "The party it belongs to enrols again with a new token.";
    WrongInstance "WRONG_INSTANCE" Peer FailedPrecondition:
        "The statement belongs to another network."
        "Check which registry the peer is enrolled with.";
    WrongProvider "WRONG_PROVIDER" Peer FailedPrecondition:
        "The question is for a subsystem that is not of this node's member."
        "The peer's operator compares its snapshot with the registry's.";
    WrongNode "WRONG_NODE" Peer FailedPrecondition:
        "The question names another node as the one that may run it."
        "Ask the node that it names; no other may, so that it never runs twice.";
    Replayed "REPLAYED" Peer AlreadyExists:
        "This question was received before."
        "Nothing was run again; ask a new question under a new exchange id.";
    Expired "EXPIRED" Peer DeadlineExceeded:
        "The question expired before it could be started."
        "Ask again; if it happens often, compare the clocks of both nodes and their load.";
    ClockSkew "CLOCK_SKEW" Peer FailedPrecondition:
        "The clocks of the two nodes differ by more than is allowed."
        "Compare both times in the detail with a trusted clock, and correct the node that is wrong.";
    LifetimeTooLong "LIFETIME_TOO_LONG" Peer FailedPrecondition:
        "A question may be valid for the configured lifetime at most, 5 minutes unless changed."
        "The peer's operator lowers the lifetime in the configuration, or corrects its clock.";
    KeySetChanged "KEY_SET_CHANGED" Peer FailedPrecondition:
        "The statement was made under other keys of the two nodes than those in force."
        "Ask again once both nodes hold the same snapshot.";
    PayloadMismatch "PAYLOAD_MISMATCH" Peer DataLoss:
        "The message is not the one that its statement commits to."
        "Report it to the peer's operator at once; the message was thrown away.";
    AnswerMismatch "ANSWER_MISMATCH" Peer DataLoss:
        "The answer belongs to another question."
        "Report it to the peer's operator at once; the answer was thrown away.";
    PeerMisbehaved "PEER_MISBEHAVED" Peer Internal:
        "The peer broke the peer protocol."
        "Report it to the peer's operator with the detail.";
    PeerLedgerUnproven "PEER_LEDGER_UNPROVEN" Peer FailedPrecondition:
        "The peer has not shown its earlier seals under a checkpoint that witnesses cosigned."
        "The peer's operator checks that its node reaches the registry and other witnesses.";

    // How an exchange ends without an answer.
    PeerUnreachable "PEER_UNREACHABLE" Peer Unavailable:
        "The provider's node cannot be reached."
        "Check the network and the address in the detail; the provider's operator checks the node.";
    NotSent "NOT_SENT" Peer Unavailable:
        "Nothing of the question left this node."
        "It is safe to ask again under a new exchange id.";
    NeverReceived "NEVER_RECEIVED" Peer Unavailable:
        "The provider's node never received the question and will not run it any more."
        "It is safe to ask again under a new exchange id.";
    OutcomeUnknown "OUTCOME_UNKNOWN" Peer Unknown:
        "The provider's node stopped after the backend may have begun; whether it finished is not known."
        "Ask the provider to look the exchange id up in its backend before asking again.";
    AnswerGone "ANSWER_GONE" Peer DataLoss:
        "The question was answered, but the answer is no longer kept."
        "It was run once; read the result with another question.";
    DeadlineExceeded "DEADLINE_EXCEEDED" Caller DeadlineExceeded:
        "The caller's deadline passed before the answer was there."
        "Ask again with the same exchange id and more time; it will not be run twice.";
    Cancelled "CANCELLED" Caller Cancelled:
        "The caller gave up before the end."
        "Nothing; ask with the same exchange id to learn how it ended.";

    // The backend.
    BackendMissing "BACKEND_MISSING" OwnNode Unimplemented:
        "The provider's node has no backend configured for this service."
        "The provider's operator points the service at a backend in the node's configuration.";
    BackendUnreachable "BACKEND_UNREACHABLE" Backend Unavailable:
        "The provider's node cannot reach the backend."
        "The provider's operator checks that the backend runs at the configured address.";
    BackendTimeout "BACKEND_TIMEOUT" Backend DeadlineExceeded:
        "The backend did not answer in time."
        "The provider looks the exchange id up in its backend; ask with more time.";
    BackendGarbage "BACKEND_GARBAGE" Backend Internal:
        "The backend's answer is not a unary gRPC reply."
        "The provider's integrator checks that the configured address speaks gRPC and serves this method.";
    BackendTooLarge "BACKEND_TOO_LARGE" Backend ResourceExhausted:
        "The backend's answer is larger than the node accepts."
        "Ask for less at once; the provider's operator can raise the limit.";

    // The node that states it.
    LedgerUnavailable "LEDGER_UNAVAILABLE" OwnNode Unavailable:
        "Nothing is exchanged that cannot be logged, and the ledger takes no entries."
        "The node's operator reads the node's log, and repairs the disk before starting it again.";
    LedgerFull "LEDGER_FULL" OwnNode ResourceExhausted:
        "Nothing is exchanged that cannot be logged, and the ledger's disk is full."
        "The node's operator makes room on the disk of the data directory; work resumes by itself.";
    Overloaded "OVERLOADED" OwnNode Unavailable:
        "As many exchanges are in flight as the node's limits allow."
        "Ask again after a moment; the operator adds a node or raises the limits.";
    Recovering "RECOVERING" OwnNode Unavailable:
        "After a start a node seals nothing until an outside party has confirmed its ledger."
        "Wait some seconds; if it lasts, check that the node reaches the registry.";
    NodeStopping "NODE_STOPPING" OwnNode Unavailable:
        "The node is shutting down and takes no new exchanges."
        "Ask again when it is back, or ask another node.";
    Internal "INTERNAL" OwnNode Internal:
        "The program met a condition that it believes impossible."
        "Report it with the node's log around the time; restarting is safe.";

    // The snapshot and the registry.
    SnapshotBehind "SNAPSHOT_BEHIND" OwnNode Unavailable:
        "The peer cites a newer snapshot than the node holds or could fetch."
        "Ask again after a moment; if it lasts, check that the node reaches the registry.";
    SnapshotExpired "SNAPSHOT_EXPIRED" Registry Unavailable:
        "The node's last snapshot has expired, and without a valid one it exchanges nothing."
        "Restore the connection to the registry; the detail says since when it is lost.";
    SnapshotInvalid "SNAPSHOT_INVALID" Registry FailedPrecondition:
        "A snapshot counts only if its signature, version, instance and ledger entry are right."
        "Keep the file, and compare the registry's key with the anchor; the node works on from its last good one.";
    RegistryUnreachable "REGISTRY_UNREACHABLE" Registry Unavailable:
        "The registry cannot be reached."
        "Check the network and the registry's address; exchanges go on until the snapshot expires.";
    RegistryRefused "REGISTRY_REFUSED" Registry FailedPrecondition:
        "The registry refused what the node asked."
        "The detail holds the registry's reason.";
    TokenInvalid "TOKEN_INVALID" Caller Unauthenticated:
        "The enrolment token is damaged, for another node, or was never issued."
        "Copy it again in one piece, or have an administrator issue another.";
    TokenUsed "TOKEN_USED" Caller Unauthenticated:
        "An enrolment token can be used once."
        "If it was not you who used it, have an administrator revoke the node; then issue another token.";
    TokenExpired "TOKEN_EXPIRED" Caller Unauthenticated:
        "The enrolment token's lifetime has ended."
        "Have an administrator issue another.";
    NotAdmitted "NOT_ADMITTED" Caller PermissionDenied:
        "The member has not been admitted: proposed by one administrator and approved by another."
        "Complete `jisr registry admit` and `jisr registry approve`.";
    AlreadyAdmitted "ALREADY_ADMITTED" Caller AlreadyExists:
        "The member was admitted before."
        "Nothing; `jisr registry change` changes its names, subsystems and contacts.";
    FourEyes "FOUR_EYES" Caller PermissionDenied:
        "Whoever proposed an act may not approve it."
        "A second administrator with the same role approves.";
    AdministratorInvalid "ADMINISTRATOR_INVALID" Caller PermissionDenied:
        "An administrator's act bears the signature of a certificate that the registry's ledger lists and that is in force."
        "Sign it with the credential of an administrator; `jisr registry administrator list` shows who is one.";
    RoleMissing "ROLE_MISSING" Caller PermissionDenied:
        "Each act takes the role that the detail names."
        "Have an administrator with that role do it.";
    TooFewAdministrators "TOO_FEW_ADMINISTRATORS" Caller FailedPrecondition:
        "Each of the roles admit, certify and publish stays with at least two administrators, or nobody could act any more."
        "Appoint another administrator with that role first.";
    ActReplayed "ACT_REPLAYED" Caller AlreadyExists:
        "An administrator's act is done once."
        "Nothing was done again; sign a new act.";
    UnknownAct "UNKNOWN_ACT" Caller NotFound:
        "No act with this digest awaits a second administrator."
        "List those that do with `jisr registry acts`; an act that waited for 30 days is proposed again.";
    CsrInvalid "CSR_INVALID" Caller InvalidArgument:
        "A certificate request must be signed by its own key, of the right kind, and name the node that the token is for."
        "Enrol with `jisr node enrol`, which makes keys and requests.";
    SchemaInvalid "SCHEMA_INVALID" Caller InvalidArgument:
        "A publication is a FileDescriptorSet that holds the service and everything it needs, within the size limit."
        "Make it with all imports included, for example `protoc --include_imports --descriptor_set_out`.";
    TitleMissing "TITLE_MISSING" Caller InvalidArgument:
        "A published service has a title in Arabic and one in English."
        "Set the options (jisr.v1.title_ar) and (jisr.v1.title_en), or give both titles with the publication.";
    BreakingChange "BREAKING_CHANGE" Caller FailedPrecondition:
        "The new schema would break agreements in force; the detail lists them."
        "Publish a new version of the package beside the old one.";
    UnknownSchema "UNKNOWN_SCHEMA" Caller NotFound:
        "The registry holds no schema with this digest."
        "Take the digest from the service's row in the snapshot.";
    UnknownAgreement "UNKNOWN_AGREEMENT" Caller NotFound:
        "No agreement with this digest is registered or proposed."
        "Check the digest; a revoked agreement is no longer listed.";
    UnknownExchange "UNKNOWN_EXCHANGE" Caller NotFound:
        "The node's ledger holds no exchange of this id."
        "Check the id, and ask the node through which it was made.";
    UnknownEntry "UNKNOWN_ENTRY" Caller NotFound:
        "The ledger has no entry at this index."
        "Ask for indexes below the size of its newest checkpoint.";
    AgreementInvalid "AGREEMENT_INVALID" Caller InvalidArgument:
        "An agreement is a canonical document about published methods, with purposes and a validity."
        "Make it again from the catalogue; the detail names what is wrong.";
    OfficerInvalid "OFFICER_INVALID" Caller PermissionDenied:
        "An officer's yes is a signature over the agreement by a certificate with the role officer of the member's local CA."
        "Have an officer of that member sign the same document.";
    NotAParty "NOT_A_PARTY" Caller PermissionDenied:
        "Only consumer and provider of an agreement may agree to it or revoke it."
        "Use a node of one of the two members.";
    CheckpointInvalid "CHECKPOINT_INVALID" Caller InvalidArgument:
        "A checkpoint is a C2SP signed note by the key of a listed ledger."
        "Check the origin and key with which the node is enrolled.";
    CheckpointForked "CHECKPOINT_FORKED" Caller FailedPrecondition:
        "The checkpoint is not consistent with one that was cosigned before: the ledger was rolled back, or shows two histories."
        "Stop the node, keep its disk, and restore the ledger from its mirror or begin a new one.";

    // The ledger after a loss, and what parties owe each other.
    PeerLedgerForked "PEER_LEDGER_FORKED" Peer FailedPrecondition:
        "The peer's ledger shows two histories, or an older one than before."
        "Nothing is exchanged with that node until its operator restored the ledger or began a new one; the FINDING in this ledger has the proof.";
    ReceiptsOwed "RECEIPTS_OWED" Peer ResourceExhausted:
        "The consumer's node owes more receipts for answered exchanges than this node permits."
        "Let the consumer's node reach this one so that its receipts arrive; they are sent by themselves.";
    ProofBudget "PROOF_BUDGET" Peer ResourceExhausted:
        "A peer may ask for so many proofs and comparisons a minute."
        "Ask again in a minute, for fewer.";
    Quarantined "QUARANTINED" OwnNode Unavailable:
        "Others hold a newer or another history of this node's ledger than its disk: the disk was rolled back or changed."
        "Keep the disk as it is; restore with `jisr node recover --from MIRROR`, or begin a new ledger that cites both heads.";
    WitnessAway "WITNESS_AWAY" OwnNode Unavailable:
        "No quorum of witnesses could be reached for so long that methods of the highest evidence class are refused."
        "Restore the way to the registry and to peers; `jisr node status` says since when it is gone.";
    WitnessLost "WITNESS_LOST" OwnNode FailedPrecondition:
        "This witness lost its memory of what it cosigned, and does not begin anew under the same key."
        "Restore its directory from the mirror, or have the instance list a new witness key.";
    LegalHold "LEGAL_HOLD" Caller FailedPrecondition:
        "A legal hold covers an exchange whose parts are to be erased."
        "Have two officers release the hold first; the detail names it.";
    DualControl "DUAL_CONTROL" Caller PermissionDenied:
        "Erasing, and ending a hold, need the signatures of two different officers of the member over the same document."
        "Have a second officer sign the document.";
    PartErased "PART_ERASED" OwnNode NotFound:
        "What is asked for was erased from the ledger, or was never kept."
        "Ask the other party, if its ledger still holds it.";
    PayloadNotKept "PAYLOAD_NOT_KEPT" Caller NotFound:
        "Messages are kept only where their method asks for it (option jisr.v1.keep_payload_days); of others the ledger has commitments."
        "Ask the application that has the message; it can be compared with the commitment.";
    ErasureInvalid "ERASURE_INVALID" Caller InvalidArgument:
        "An erasure, a hold and a release are canonical documents about entries of this ledger."
        "Make it again with `jisr node erase`; the detail names what is wrong.";
    SelectionTooLarge "SELECTION_TOO_LARGE" Caller ResourceExhausted:
        "The selection holds more exchanges than were asked for at most."
        "Narrow it by time or peer, or raise the limit.";
}
