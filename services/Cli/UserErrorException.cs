namespace SpegelDapr.Cli;

/// <summary>Something that whoever typed the command can mend; its message is the whole story and is printed as one line.</summary>
internal class UserErrorException(string message) : Exception(message);
